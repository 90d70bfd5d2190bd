"""The console: shows the flow of events through all services, finds an order, and resolves what is stuck.

It calls the HTTP APIs of the services and relays, with the token of the person who signed in, and nothing else. Pages
are rendered by the server and can be read without scripts.

How to add a page:

1. `pages/<name>.py` has a `router` with the routes. A route that shows something takes `page: ReaderPage`; one that
   only operators may see takes `page: OperatorPage` (`web.dependencies`).

   - `page.system.get(process, path, params)` reads one process, `page.system.ask(processes, path)` several at once.
     They never raise: an `ApiReply` has `body`, or `failure`. `page.system.processes` has `services`, `relays` and
     `find(name)`.
   - `return page.render("<name>.html", section="<name>", ...)`. The template extends `layout.html` and fills the blocks
     `title` and `main`. `page`, `t` (the texts) and `ui` (the macros of `components.html`) are known in it.
   - Begin the page with `ui.away(page, failed(replies))`, so that it says which service does not answer.

2. What refreshes is in `{% block live %}`, inside an element with the class and id `live`, `hx-get`,
   `hx-target="this"`, `hx-trigger="refresh from:body"` and `hx-swap="morph:innerHTML"` (see `overview.html`). A refresh
   renders only the block whose name is the id of the element. `js/console.js` refreshes while the tab is visible.

3. A change has two routes with the same path. GET returns `page.confirm(ChangeConfirmation(...))`, which names what
   will be changed, after a dry run where the API has one. POST takes `change: ChangeDep`, which has verified origin,
   CSRF token and role, and ends with

       reply = await change.page.system.change(process, path, body, key=change.form.key)
       return change.page.after(reply, to="/<name>", done="<name>.done")

   `change.reason` is the reason for the audit. The Idempotency-Key is that of the confirmation.

4. Texts are in `languages/en/<name>.json` and `languages/ko/<name>.json`: `t("<name>.title", count=3)` finds `title`,
   or `title.one` for one. `section` is the label in the navigation.

5. `main.SECTIONS` gets a `NavigationEntry("<name>", "/<path>")`, whose icon is the symbol `<name>` of
   `static/icons.svg`, and `main.ROUTERS` the router.

Styles are the classes of `static/css/console.css`; a page with styles of its own has a file and names it in the block
`styles`. Scripts are files, too: the policy of `web.security` allows neither in the page.
"""
