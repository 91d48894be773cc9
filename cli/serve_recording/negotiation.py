"""In which shape an answer is wanted, from the Accept header. Pure."""

from __future__ import annotations

from enum import Enum

from cli.serve_recording.statuses import not_acceptable

JSON = "application/json"
_META = "meta.k8s.io"
_DISCOVERY = "apidiscovery.k8s.io"
_JSON_RANGES = frozenset({JSON, "application/*", "*/*", ""})
MOST_CHOICES = 32


class Form(Enum):
    """The value is the content type that is answered with."""

    plain = JSON
    table = "table"
    partial = "partial"
    discovery = f"{JSON};g={_DISCOVERY};v=v2;as=APIGroupDiscoveryList"
    older_discovery = f"{JSON};g={_DISCOVERY};v=v2beta1;as=APIGroupDiscoveryList"

    @property
    def content_type(self) -> str:
        return self.value if self.value.startswith(JSON) else JSON


_SHAPES = {
    ("Table", _META, "v1"): Form.table,
    ("PartialObjectMetadata", _META, "v1"): Form.partial,
    ("PartialObjectMetadataList", _META, "v1"): Form.partial,
}
_DISCOVERIES = {
    ("APIGroupDiscoveryList", _DISCOVERY, "v2"): Form.discovery,
    ("APIGroupDiscoveryList", _DISCOVERY, "v2beta1"): Form.older_discovery,
}


def form_of(accept: str) -> Form:
    """Of an object or a list of them; the first shape we have, in the caller's order.

    Raises:
        Refused: 406, only protobuf or YAML is wanted.
    """
    return _chosen(accept, _SHAPES)


def form_of_discovery(accept: str) -> Form:
    """Of the list of groups. Raises Refused."""
    return _chosen(accept, _DISCOVERIES)


def text_wanted(accept: str) -> None:
    """A log is text, whatever else is accepted beside it. Raises Refused."""
    media = {choice.partition(";")[0].strip().lower() for choice in accept.split(",")[:MOST_CHOICES]}
    # client-go asks for logs with the media types of objects.
    if not media & {*_JSON_RANGES, "text/plain", "text/*", "application/vnd.kubernetes.protobuf"}:
        raise not_acceptable("text/plain")


def _chosen(accept: str, shapes: dict[tuple[str, str, str], Form]) -> Form:
    for choice in accept.split(",")[:MOST_CHOICES]:
        media, *rest = (part.strip() for part in choice.split(";"))
        if media.lower() not in _JSON_RANGES:
            continue
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        wanted = parameters.get("as")
        if wanted is None:
            return Form.plain
        shape = shapes.get((wanted, parameters.get("g", ""), parameters.get("v", "")))
        if shape is not None:
            return shape
    raise not_acceptable(JSON)
