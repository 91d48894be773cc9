"""`kubernaut run`: the whole product on one machine, as separate processes under one supervisor.

stack.py      which processes there are, and what each is told (pure)
lock.py       one run per state folder
child.py      runs one service; ends it when the supervisor is gone, however it went
deaths.py     what follows the death of a process (pure)
supervisor.py starts, watches, restarts and stops the processes
incident.py   posts the bundled incident and follows it to the delivered notification
report.py     what a person reads at the end
command.py    puts these together
"""
