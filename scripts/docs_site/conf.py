"""The settings of Sphinx for the documentation site."""

project = "tf-distributed"
author = "The tf-distributed authors"
extensions = ["myst_parser"]
html_theme = "pydata_sphinx_theme"
html_title = "tf-distributed"
html_logo = html_favicon = "../../docs/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "github_url": "https://github.com/tf-distributed/tf-distributed",
    "header_links_before_dropdown": 5,
    "logo": {"text": "tf-distributed"},
    "navbar_align": "left",
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars: dict[str, list[str]] = {"troubleshooting": []}
# The anchors of GitHub, for headings of all levels.
myst_heading_anchors = 6
highlight_language = "none"
# review-card.md is a review comment, which has no title.
suppress_warnings = ["myst.header"]
