from __future__ import annotations

import pytest

from libs.storage.embedded.provision import provision


@pytest.mark.requirement("API-BR-PERF-034")
@pytest.mark.parametrize("name", ["", "Alerts", "a b", 'a"; DROP ROLE postgres; --', "1a", "a" * 64])
def test_a_name_that_is_no_plain_identifier_is_refused_before_anything_connects(name: str):
    with pytest.raises(ValueError, match="not a name"):
        provision("postgresql://nowhere.invalid/x", {name: 1}, database="kubernaut")
