"""What the requests of the tests of faults do with their session."""


def append(*items):
    """Return a view that appends to a list of the session."""
    return lambda request: request.session.setdefault('items', []).extend(
        items
    )


def data(request):
    return dict(request.session)


def invalidate_and_append(request):
    request.session.invalidate()
    append('new')(request)


def renew(request):
    request.session.renew_id()


def locked_append(request):
    with request.session.locked():
        append('mine')(request)


def locked_data(request):
    with request.session.locked():
        return data(request)


def increment(request):
    session = request.session
    with session.locked():
        session['n'] = session.get('n', 0) + 1


def log_out(request):
    request.session.invalidate()


def tab(app):
    """Return a second tab of a browser: it has the cookies of the first."""
    tab = app.browser()
    tab.cookiejar = app.cookiejar
    return tab


#: What writes in different ways.
WRITING = [append('mine'), locked_append, renew, log_out]
