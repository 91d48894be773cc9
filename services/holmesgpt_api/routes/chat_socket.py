"""`WS /api/v1/chat/ws`: one question after another on a socket; events while it is answered, then the answer.

In: `{"message": …, "context": {…}?}` as text. Out: events (`{"kind": "step" | "tool" | "restarted", …}`), then the
answer object that REST gives (it alone has `response`), or a problem document (it alone has `status`).

Close codes: 1000 the client's; 1003 not text; 1009 a message too large; 1011 our fault; 1012 this process ends;
4401 the credential has ended; 4408 nothing was asked for the idle timeout.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from libs.auth.errors import NotAuthenticated
from libs.auth.guards import principal_in
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.chat import ChatEvent, ChatFrame
from libs.contracts.problem import FieldError
from libs.storage.errors import StorageUnavailable
from libs.web.body import MalformedJson, inspect
from libs.web.edge import REQUEST_ID
from libs.web.problems import MEDIA_TYPE, explain, path, render
from libs.web.sockets import DOOR, Door, TooFast, refuse, spoken
from services.holmesgpt_api.adapters.chat_meters import ChatMeters
from services.holmesgpt_api.domain.chat.answer import PATH
from services.holmesgpt_api.domain.chat.errors import StillAnswering, TooManySockets
from services.holmesgpt_api.domain.chat.session import Turn
from services.holmesgpt_api.domain.errors import HolmesError
from services.holmesgpt_api.domain.patience import answer_by
from services.holmesgpt_api.routes.chat_problems import document
from services.holmesgpt_api.steps.chat import Chat, owner, told
from services.holmesgpt_api.steps.sockets import Sockets

_log = logging.getLogger(__name__)

router = APIRouter(prefix=PATH)

PROTOCOL = "kubernaut.chat.v1"
"""The subprotocol that is spoken, for browsers, which need one beside the credential's."""

NOT_TEXT, OUR_FAULT, CREDENTIAL_ENDED, IDLE = 1003, 1011, 4401, 4408


@router.websocket("/ws")
async def chat_socket(socket: WebSocket) -> None:
    caller = principal_in(socket)
    if Permission.chat_interactive not in caller.permissions:
        said = render(403, "not-allowed", detail=f"needs permission {Permission.chat_interactive.value}")
        await _refused(socket, 403, said)
        return
    ports = socket.app.state.ports
    sockets: Sockets = ports.sockets
    try:
        with sockets.one(owner(caller)):
            await socket.accept(subprotocol=spoken(socket.scope.get("subprotocols", ()), PROTOCOL))
            await _Conversation(
                socket, ports.chat, ports.chat_meters, idle=ports.chat_idle.total_seconds()
            ).hold()
    except TooManySockets as error:
        await _refused(socket, 429, document(error))


async def _refused(socket: WebSocket, status: int, body: bytes) -> None:
    await refuse(socket.scope, socket.send, status, MEDIA_TYPE.encode(), body, ())


class _Conversation:
    """One socket's life after the handshake."""

    def __init__(self, socket: WebSocket, chat: Chat, meters: ChatMeters, *, idle: float) -> None:
        self._socket, self._chat, self._meters, self._idle = socket, chat, meters, idle
        self._door: Door = socket.scope[DOOR]
        self._session: str | None = None
        self._answering: asyncio.Task[None] | None = None
        self._awaited = False
        """Whether an answer is still to come; it ends before its task does."""

    async def hold(self) -> None:
        try:
            while await self._next():
                pass
        except WebSocketDisconnect:
            return
        finally:
            if self._answering is not None:
                # Nobody listens any more. The question goes on, and its answer is in the session's history.
                self._answering.cancel()
                await asyncio.wait({self._answering})

    async def _next(self) -> bool:
        """Take one message. False: the socket is closed."""
        frame = await self._frame()
        if frame is None:
            return False
        if self._awaited:
            await self._say(document(StillAnswering()))
            return True
        try:
            caller = await self._door.knock()
        except NotAuthenticated as error:
            await self._socket.close(CREDENTIAL_ENDED, error.hint[:120])
            return False
        except TooFast as error:
            await self._say(render(429, "rate-limited", detail=str(error)))
            return True
        asked = await self._read(frame)
        if asked is not None:
            if self._answering is not None:
                await self._answering
            self._awaited = True
            self._answering = asyncio.create_task(self._answer(asked, caller))
        return True

    async def _frame(self) -> str | None:
        """The next text; None: the socket is closed, by the other side or for what came or did not come."""
        receiving = asyncio.create_task(self._socket.receive())
        try:
            while True:
                done, _ = await asyncio.wait({receiving}, timeout=self._idle)
                if done:
                    break
                if not self._awaited:
                    await self._socket.close(IDLE, "nothing was asked for the idle timeout")
                    return None
        finally:
            receiving.cancel()
        message = await receiving
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if not isinstance(text, str):
            await self._socket.close(NOT_TEXT, "send JSON as text")
            return None
        return text

    async def _read(self, text: str) -> ChatFrame | None:
        """The question in it; None: it is none, and that has been said."""
        try:
            inspect(text.encode("utf-8", "surrogatepass"))
            return ChatFrame.model_validate_json(text)
        except MalformedJson as error:
            await self._say(
                render(400, "malformed-json", detail=f"the message is not JSON that can be read: {error}")
            )
        except ValidationError as error:
            faults = [
                FieldError(field=path(("message", *fault["loc"])), reason=explain(dict(fault)))
                for fault in error.errors(include_url=False, include_input=False)[:20]
            ]
            named = ", ".join(dict.fromkeys(one.field for one in faults))
            await self._say(render(422, "invalid-input", detail=f"see errors: {named}", errors=faults))
        return None

    async def _answer(self, frame: ChatFrame, caller: Principal) -> None:
        try:
            last = await self._events(frame, caller)
        except (HolmesError, StorageUnavailable) as error:
            last = document(error)
        except Exception:
            _log.exception("a question on a socket failed: request %s", self._socket.scope[REQUEST_ID])
            await self._say(render(500, "internal-error", detail="our fault; it is logged"))
            await self._socket.close(OUR_FAULT)
            return
        self._awaited = False
        await self._say(last)

    async def _events(self, frame: ChatFrame, caller: Principal) -> bytes:
        """Tell how far it is; the answer once it has come. Raises what `Chat.open`, `follow` and `told` raise."""
        until = answer_by(self._chat.longest_stream, None)
        turn = await self._chat.open(frame.request(self._session), caller, until)
        self._session = turn.session_id
        async with aclosing(self._chat.follow(turn)) as events:
            async for seen in events:
                match seen:
                    case Turn():
                        answer = told(seen)
                        self._meters.answered("websocket", answer)
                        return answer.model_dump_json().encode()
                    case ChatEvent():
                        await self._say(seen.model_dump_json(exclude_none=True).encode())
        raise AssertionError("a question ends with its turn")

    async def _say(self, body: bytes) -> None:
        with suppress(WebSocketDisconnect):  # nobody listens any more, which `hold` learns by itself
            await self._socket.send_text(body.decode())
