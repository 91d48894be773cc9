from __future__ import annotations

import pytest

from tests.support.programs import require

pytestmark = pytest.mark.requirement("INF-BR-REL-012")

ABSENT = "kubernaut-no-such-program"


def test_a_missing_program_skips_the_test_by_name():
    with pytest.raises(pytest.skip.Exception, match=ABSENT):
        require(["sh", ABSENT], in_ci=False)


def test_in_ci_a_missing_program_is_a_failure():
    with pytest.raises(pytest.fail.Exception, match=ABSENT):
        require([ABSENT], in_ci=True)


def test_what_is_there_is_neither():
    require(["sh"], in_ci=True)
