// What a page does beyond its links and forms: parts that come later, the ladder, zoom, curves, keys. No address but this server's.
"use strict";
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Parts that take a while. A part that is not finished says after how many milliseconds to ask again.
  async function fetchPart(place, method = "GET", address = place.dataset.from) {
    const answer = await fetch(address, { method, credentials: "same-origin" });
    place.innerHTML = await answer.text();
    place.removeAttribute("aria-busy");
    letScroll();
    const again = one("[data-again]", place);
    if (again) setTimeout(() => fetchPart(place), Number(again.dataset.again));
  }
  // What is wider than its place is scrolled by keys too.
  function letScroll() {
    for (const wide of all(".wide")) if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
  letScroll();
  addEventListener("load", letScroll);

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      seen.unobserve(entry.target);
      fetchPart(entry.target);
    }
  }, { rootMargin: "200px" });
  all(".later").forEach((place) => seen.observe(place));

  one("#verify")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const place = one("#verification");
    fetchPart(place, "POST", `${place.dataset.from}?deep=${one("[name=deep]").checked ? 1 : 0}`);
  });

  all("form.filters select").forEach((select) => select.addEventListener("change", () => select.form.requestSubmit()));
  all("form.filters:not([method=post])").forEach((form) => form.addEventListener("submit", () => {
    for (const field of all("input, select", form)) if (!field.value) field.disabled = true; // permalinks stay short
  }));
  all("[data-copy]").forEach((button) => button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(one(`#${button.dataset.copy}`).textContent);
    button.textContent = "Copied";
  }));

  // What is set by hand stands in the address too.
  function remember(name, value) {
    if (!location.protocol.startsWith("http")) return;
    const address = new URL(location);
    address.searchParams.set(name, value);
    history.replaceState(null, "", address);
  }

  // The ladder: one picture a level. While one is on its way, only the last level asked for is remembered.
  const slider = one("#percent"), noisy = one("#noisy"), level = one("#level");
  let wanted = null;
  function show() {
    level.textContent = `${slider.value} %`;
    noisy.alt = `noisy: ${slider.value} %`;
    const address = slider.dataset.frames.replace("{}", slider.value);
    if (wanted === null) noisy.src = address;
    wanted = address;
    remember("percent", slider.value);
  }
  if (slider) {
    slider.addEventListener("input", show);
    for (const event of ["load", "error"]) noisy.addEventListener(event, () => {
      const next = wanted;
      wanted = null;
      if (next && new URL(next, location).href !== noisy.src) { wanted = next; noisy.src = next; }
    });
  }
  function setLevel(percent) {
    slider.value = percent;
    show();
  }

  const zooms = all("[data-zoom]");
  function zoom(factor) {
    const side = Number(one("#panels").dataset.side) * factor;
    all("#panels img").forEach((image) => { image.width = side; image.height = side; });
    zooms.forEach((button) => button.setAttribute("aria-pressed", button.dataset.zoom === String(factor)));
    remember("zoom", factor);
  }
  zooms.forEach((button) => button.addEventListener("click", () => zoom(Number(button.dataset.zoom))));

  // Loss curves
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function draw(figure) {
    const curves = JSON.parse(figure.dataset.curves), place = one(".plot", figure);
    const names = ["train", "held_out"].filter((name) => curves[name]);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const series = names.map((name) => ({
      label: name.replace("_", " "), stroke: colour(name === "train" ? "--soft" : "--accent"), width: 1.5, spanGaps: true,
      points: { show: name !== "train" },
    }));
    place.replaceChildren();
    new uPlot({ width: figure.clientWidth, height: 220, scales: { x: { time: false }, y: { distr: 3 } },
      axes: [axis, { ...axis, values: (_, ticks) => ticks.map((tick) => tick === null ? "" : String(Number(tick.toPrecision(3)))) }],
      series: [{ label: "step" }, ...series] }, [curves.step, ...names.map((name) => curves[name])], place);
  }
  const figures = all(".curve[data-curves]");
  if (figures.length && window.uPlot) {
    const drawAll = () => figures.forEach(draw);
    drawAll();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    let timer;
    addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(drawAll, 150); });
  }

  one(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // Keys
  const follow = (selector) => one(selector)?.click();
  function move(step) {
    const links = all(".grid a:first-child, .texts a");
    const here = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, here < 0 ? 0 : here + step))]?.focus();
  }
  const isSingle = Boolean(slider) || document.body.dataset.view === "window";
  const keys = {
    "/": () => one("#q")?.focus(),
    "?": () => one("#keys")?.showModal(),
    ArrowLeft: () => isSingle ? follow("a[rel=prev]") : move(-1),
    ArrowRight: () => isSingle ? follow("a[rel=next]") : move(1),
    n: () => follow("a[rel=next]"),
    p: () => follow("a[rel=prev]"),
    g: () => follow("a[rel=up]"),
    z: () => zooms.length && zoom({ 1: 4, 2: 4, 4: 8, 8: 1 }[one("[data-zoom][aria-pressed=true]").dataset.zoom]),
    c: () => slider && setLevel(0),
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input:not([type=range]), select, textarea");
    const isSlider = event.target === slider && event.key.startsWith("Arrow");
    if (isTyping || isSlider || event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
    const act = keys[event.key] ?? (slider && /^[0-9]$/.test(event.key) ? () => setLevel(event.key === "0" ? 100 : 10 * Number(event.key)) : null);
    if (act) { event.preventDefault(); act(); }
  });
})();
