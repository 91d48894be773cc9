"""The services. Nobody here imports a neighbour; they talk HTTP through `libs.clients`."""
