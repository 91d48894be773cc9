"""`kubernaut run`: the whole product on one machine, as separate processes under one supervisor.

stack.py      which processes there are, and what each is told (pure)
ports.py      who holds a port
child.py      runs one service; ends it when the supervisor is gone, however it went
supervisor.py starts, watches, restarts and stops the processes
incident.py   posts the bundled incident and follows it to the delivered notification
report.py     what a person reads at the end
command.py    puts these together
"""
