"""Generated documents are current."""
import differences


def test_the_page_of_differences_is_current():
    assert differences.PAGE.read_text() == differences.page(), (
        "run test/e2e/differences.py and commit the page")
