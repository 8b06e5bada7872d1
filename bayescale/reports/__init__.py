"""The posterior report: its content is assembled once and written as HTML, Markdown or JSON."""
