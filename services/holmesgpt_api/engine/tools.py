"""The model's tools in HolmesGPT's terms: three that read the cluster, and those of foreign systems that the service
offers; all of them ask through the run's desk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from holmes.core.tools import (
    StructuredToolResult,
    StructuredToolResultStatus,
    Tool,
    ToolInvokeContext,
    ToolParameter,
    Toolset,
    ToolsetStatusEnum,
)
from holmes.core.tools_utils.tool_executor import ToolExecutor

from services.holmesgpt_api.engine.asking import QUESTIONS, description, parameters
from services.holmesgpt_api.engine.foreign import CustomTool

DESK = "desk"
"""Under this key the run's desk stands in HolmesGPT's request context."""


class ContextTool(Tool):
    def _invoke(self, params: Any, context: ToolInvokeContext) -> StructuredToolResult:
        answered = (context.request_context or {})[DESK].answer(self.name, params)
        kept = params if isinstance(params, dict) else None
        if not answered.ok:
            return StructuredToolResult(
                status=StructuredToolResultStatus.ERROR, error=answered.text, params=kept
            )
        return StructuredToolResult(
            status=StructuredToolResultStatus.SUCCESS, data=answered.text, params=kept
        )

    def get_parameterized_one_liner(self, params: Any) -> str:
        # An exception here would end the whole run, and arguments may be anything.
        name: str = self.name
        return name


def executor(names: Collection[str] | None = None, custom: Sequence[CustomTool] = ()) -> ToolExecutor:
    """What runs tools, with none of HolmesGPT's own: they are not loaded, so none can be switched on.

    `names`: those of ours that a run is given; None: all. `custom`: those of foreign systems beside them.
    """
    tools = [
        ContextTool(
            name=name,
            description=description(kind),
            parameters={
                argument: ToolParameter(
                    type=told.type, description=told.description, required=told.required, enum=told.enum
                )
                for argument, told in parameters(kind).items()
            },
        )
        for name, kind in QUESTIONS.items()
        if names is None or name in names
    ]
    toolset = Toolset(
        name="kubernaut-context",
        description="Evidence about the incident, from the Context API",
        enabled=True,
        tools=tools,
    )
    toolset.status = ToolsetStatusEnum.ENABLED
    return ToolExecutor([toolset, *([_foreign(custom)] if custom else [])])


def _foreign(custom: Sequence[CustomTool]) -> Toolset:
    tools = [
        ContextTool(
            name=one.name,
            description=one.description,
            parameters={
                each.name: ToolParameter(
                    type=each.type, description=each.description, required=each.required, enum=each.enum
                )
                for each in one.parameters
            },
        )
        for one in custom
    ]
    toolset = Toolset(name="custom", description="Other systems", enabled=True, tools=tools)
    toolset.status = ToolsetStatusEnum.ENABLED
    return toolset
