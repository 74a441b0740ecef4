"""The page where hosts put it."""

from test_page import count, visit


def test_the_page_may_stand_in_a_folder_of_a_site(browser, serve, built):
    """As GitHub shows a repository's page."""
    page = visit(browser, f"{serve(built.parent)}{built.name}/")
    page.locator("#samples button").first.click()
    assert count(page) > 0
    page.context.close()
