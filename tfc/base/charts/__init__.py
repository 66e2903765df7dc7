"""Charts as SVG text and the page of an HTML report. The standard library alone: devices draw with it, too."""
