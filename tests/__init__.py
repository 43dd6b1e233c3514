import pytest

# failing assertions of shared tests show their values, too
pytest.register_assert_rewrite('tests.contract', 'tests.save_contract')
