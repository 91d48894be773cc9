"""Takes secrets out of text: which ones (`rules`), and what stands in their place for one reader (`redactor`)."""

from libs.redaction.redactor import Redactor, Unredactable
from libs.redaction.rules import GONE, RULE_NAMES, Redacted, redact

__all__ = ["GONE", "RULE_NAMES", "Redacted", "Redactor", "Unredactable", "redact"]
