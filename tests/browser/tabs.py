"""What visitors do in the tabs of a browser."""

from __future__ import annotations

import re


class Tab:
    """
    A tab of a browser that visits the shop.

    :param context: the browser, with cookies of its own.
    """

    def __init__(self, context):
        self.context = context
        self.page = context.new_page()

    def another(self):
        """Open another tab of the same browser."""
        return Tab(self.context)

    def go(self, path):
        """Go to an address of the shop; return the status."""
        return self.page.goto(path).status

    def press(self, name):
        """Press the button of this name; return the status."""
        return self._click('button', name, exact=True)

    def follow(self, name):
        """Follow a link whose name has this in it; return the status."""
        return self._click('link', name)

    def _click(self, role, name, **options):
        with self.page.expect_navigation() as navigation:
            self.page.get_by_role(role, name=name, **options).click()
        return navigation.value.status

    def add(self, title):
        """Add a product to the cart, on the page of the shop."""
        return self.press(f'Add to cart: {title}')

    def log_in(self, name='Ada', remember=False):
        self.go('/login')
        self.page.get_by_label(name).check()
        self.page.get_by_label('Remember me').set_checked(remember)
        return self.press('Log in')

    @property
    def heading(self):
        return self.page.locator('h1').inner_text()

    @property
    def flash(self):
        """The messages with which the page opens."""
        return self.page.locator('.flash').all_inner_texts()

    @property
    def cart(self):
        """The number that the page shows beside the cart."""
        link = self.page.get_by_role('link', name='Cart').inner_text()
        return int(re.search(r'\((\d+)\)', link)[1])

    @property
    def logged_in(self):
        """The name of who is logged in, ``None`` for nobody."""
        buttons = self.page.locator('nav button').all_inner_texts()
        names = [text.removeprefix('Log out ') for text in buttons]
        return names[0] if names else None

    @property
    def cookie(self):
        """The cookie of the session, as the browser keeps it, or ``None``."""
        kept = [c for c in self.context.cookies() if c['name'] == 'session']
        return kept[0] if kept else None

    def text(self, name):
        """Return the text of the element of this id."""
        return self.page.locator(f'#{name}').inner_text()

    def focused(self, script):
        """Return what JavaScript says of the element that has the focus."""
        return self.page.evaluate(f'({script})(document.activeElement)')
