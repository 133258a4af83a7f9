// Draws what the server computed. Nothing here is a number of its own but pixels.
"use strict";
const $ = (id) => document.getElementById(id);
const COLOURS = ["#D55E00", "#0072B2", "#009E73"];   // Okabe and Ito: told apart with every colour vision
const DASHES = [[], [8, 4], [2, 3]];
const MOST = 3000;                                   // points of a curve; beyond, every second one goes
let catalogue, state = {}, source = null, opening = null, last = null, past = [], flowing = [], playing = false, drag = null;
let due = false, told = 0;                           // whether a picture is due; when the curves were drawn last
const OFTEN = 120;                                   // milliseconds between two pictures of the curves while particles move

// --- the address holds the state ------------------------------------------------------------------------------------
function readAddress() {
  state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}
function writeAddress(step) {
  const words = new URLSearchParams(state);
  words.delete("step");
  if (step !== undefined) words.set("step", step);
  window.history.replaceState(null, "", "#" + words.toString());
}
function set(key, value) {
  if (value === undefined || value === "") delete state[key]; else state[key] = String(value);
}

// --- controls ---------------------------------------------------------------------------------------------------------
function element(tag, properties, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}
function meaning(id, text, theorem) {
  const p = element("p", { className: "meaning", id });
  p.append(text + " ");
  if (theorem) p.append(element("b", { textContent: theorem }));
  return p;
}
function buildControls() {
  for (const t of catalogue.targets) $("target").append(element("option", { value: t.name, textContent: t.name }));
  for (let k = 0; k < catalogue.panes; k++) {
    const select = element("select", { id: "divergence" + k, ariaLabel: "divergence " + (k + 1) });
    if (k > 0) select.append(element("option", { value: "", textContent: "(none)" }));
    for (const d of catalogue.divergences)
      select.append(element("option", { value: d.name, textContent: d.name + ",  w = " + d.weight }));
    select.onchange = () => {
      set("divergence", [0, 1, 2].map((k) => $("divergence" + k).value).filter(Boolean).join(","));
      restart();
    };
    $("divergences").append(select);
  }
  for (const c of catalogue.controls) {
    const group = element("div", { id: "g-" + c.key }, element("label", { htmlFor: "c-" + c.key, textContent: c.label }));
    $("method").append(group);
    if (c.choices) {
      const select = element("select", { id: "c-" + c.key });
      for (const w of c.choices) select.append(element("option", { value: w, textContent: w }));
      select.onchange = () => { set(c.key, select.value); restart(); };
      select.setAttribute("aria-describedby", "m-" + c.key);
      group.append(select);
    } else {
      const [, least, most, step] = c.range;
      const box = element("input", { id: "c-" + c.key, type: "number", min: least, step: "any" });
      const slider = element("input", { id: "s-" + c.key, type: "range", min: least, max: most, step, ariaLabel: c.label + " (slider)" });
      box.setAttribute("aria-describedby", "m-" + c.key);
      box.onchange = () => { set(c.key, box.value); slider.value = box.value; restart(); };
      slider.oninput = () => { box.value = slider.value; };
      slider.onchange = () => { set(c.key, slider.value); restart(); };
      group.append(element("div", { className: "number" }, slider, box));
    }
    group.append(meaning("m-" + c.key, c.meaning, c.theorem));
  }
}
function showState() {
  $("kind").value = state.formula !== undefined ? "formula" : state.modes !== undefined ? "mixture" : "registry";
  $("registry").hidden = $("kind").value !== "registry";
  $("typed").hidden = $("kind").value !== "formula";
  $("dragged").hidden = $("kind").value !== "mixture";
  $("target").value = state.target ?? catalogue.target;
  const known = catalogue.targets.find((t) => t.name === $("target").value);
  $("target-m").textContent = known ? "log p~ = " + known.formula : "";
  if (state.formula !== undefined) $("formula").value = state.formula;
  const names = (state.divergence ?? "reverse-kl").split(",");
  for (let k = 0; k < catalogue.panes; k++) $("divergence" + k).value = names[k] ?? "";
  const model = state.model ?? "particles", velocity = (name) => catalogue.velocities.find((v) => v.name === name);
  if (velocity(state.velocity)?.models.includes(model) === false) delete state.velocity;
  const followed = state.velocity ?? "drift", drift = followed === "drift";
  for (const c of catalogue.controls) {
    $("g-" + c.key).hidden = !c.models.includes(model) || (c.drift && !drift);
    showValue(c, state[c.key] ?? (c.choices ? c.choices[0] : c.range[0]));
  }
  $("g-divergences").hidden = !drift;
  for (const option of $("c-velocity").options) option.disabled = !velocity(option.value).models.includes(model);
  const own = velocity(followed);
  if (own) $("m-velocity").replaceChildren(`${own.summary}: ${own.formula} `, element("b", { textContent: own.theorem }));
  $("speed").value = state.speed ?? "1";
  const rows = modes().map((mode, k) => {
    const row = element("div", { className: "row" });
    ["x₁", "x₂", "deviation", "weight"].forEach((name, j) => {
      const input = element("input", { type: "number", step: "any", value: mode[j], ariaLabel: `mode ${k + 1}: ${name}` });
      input.onchange = () => { const all = modes(); all[k][j] = Number(input.value); setModes(all); };
      row.append(input);
    });
    const remove = element("button", { type: "button", textContent: "×", ariaLabel: `remove mode ${k + 1}` });
    remove.onclick = () => { if (modes().length > 1) setModes(modes().filter((_, i) => i !== k)); };
    row.append(remove);
    return row;
  });
  $("modes").replaceChildren(...rows);
}
function showValue(c, value) {
  $("c-" + c.key).value = value ?? "";
  if ($("s-" + c.key) && value !== null) $("s-" + c.key).value = value;
}
function modes() {
  return (state.modes ?? "").split(";").filter(Boolean).map((m) => m.split(",").map(Number));
}
function setModes(all) {
  set("modes", all.map((m) => m.map((v) => Number(v.toPrecision(4))).join(",")).join(";"));
  restart();
}

// --- the run ------------------------------------------------------------------------------------------------------------
function restart(keep) {
  writeAddress(keep ? state.step : undefined);
  if (!keep) delete state.step;
  showState();
  source?.close();
  if (opening?.search) opening = null;
  last = null;
  past = [];
  flowing = [];
  const wanted = keep && state.step !== undefined ? false : true;
  const stream = new EventSource("run?" + new URLSearchParams(state));
  source = stream;
  // a search takes a while
  $("clock").textContent = "the run begins …";
  stream.addEventListener("opening", (e) => {
    opening = JSON.parse(e.data);
    last = null;
    $("message").textContent = "";
    // what the method chose itself
    for (const c of catalogue.controls) if (state[c.key] === undefined && opening.values[c.key] !== undefined) showValue(c, opening.values[c.key]);
    buildPanes();
    play(wanted && !matchMedia("(prefers-reduced-motion: reduce)").matches);
  });
  stream.addEventListener("search", (e) => drawSearch(JSON.parse(e.data)));
  stream.addEventListener("frame", (e) => show(JSON.parse(e.data)));
  stream.addEventListener("refused", (e) => {
    stream.close();
    $("message").textContent = JSON.parse(e.data).message;
  });
  stream.onerror = () => {
    if (source !== stream || stream.readyState === EventSource.CLOSED && $("message").textContent) return;
    stream.close();
    $("message").textContent = "the laboratory does not answer any more; start 'pushforward lab' again";
  };
}
function tell(words) {
  if (!opening?.id) return;
  fetch(`control?id=${opening.id}&${words}`, { method: "POST" }).catch(() => 0);
}
function play(on) {
  playing = on;
  $("play").textContent = on ? "❚❚ Pause" : "▶ Play";
  tell(on ? "do=play" : "do=pause");
  paint();
}
function seek(step) {
  play(false);
  tell("do=seek&step=" + Math.max(0, step));
}
function show(frame) {
  last = frame;
  past = past.filter((h) => h.step < frame.step);
  past.push({ step: frame.step, panes: frame.panes.map((p) => ({ curves: p.curves, masses: p.modes?.masses, certificate: p.certificate, under: p.under })) });
  if (frame.panes.some((p) => p.inflow)) flowing = frame.panes.map((p) => p.inflow);
  if (past.length > MOST) past = past.filter((_, k) => k % 2 === 0);
  $("seek").max = opening.steps;
  $("seek").value = frame.step;
  $("clock").textContent = `step ${frame.step} of ${opening.steps}` + (opening.network ? "" : `, t = ${(frame.step * opening.dt).toFixed(2)}`);
  if (frame.finished && playing) play(false);
  paint();
}

// --- pictures -----------------------------------------------------------------------------------------------------------
function buildPanes() {
  const k = opening.panes.length;
  $("panes").style.gridTemplateColumns = k === 1 ? "minmax(0, min(100%, calc(100vh - 190px)))" : `repeat(${k}, minmax(0, 1fr))`;
  $("panes").style.justifyContent = "center";
  $("panes").replaceChildren(...opening.panes.map((pane, i) => {
    const small = element("small", { textContent: pane.weight ? `  w(r) = ${pane.weight}` : "" });
    const h = element("h2", {}, pane.name, small);
    if (k > 1) h.style.color = COLOURS[i];
    const canvas = element("canvas", { id: "pane" + i, tabIndex: 0, ariaLabel: pane.name });
    canvas.setAttribute("role", "img");
    canvas.onpointerdown = (e) => grab(e, canvas);
    canvas.onpointermove = (e) => move(e, canvas);
    canvas.onpointerup = () => release();
    return element("div", { className: "pane" }, h, canvas);
  }));
  writeKey();
  told = 0;
  $("command").textContent = opening.commands.join("\n");
  for (const what of ["command", "csv", "svg", "frames"]) $("as-" + what).href = `export?id=${opening.id}&what=${what}`;
  $("as-toml").replaceChildren(...opening.panes.map((_, i) => element("a",
    { href: `export?id=${opening.id}&what=toml${i}`, download: `lab${i}.toml`, textContent: k > 1 ? ` TOML ${i + 1} ` : "TOML" })));
  $("as-certificate").replaceChildren(...opening.panes.map((p, i) => p.exact && element("a", { href: `export?id=${opening.id}&what=certificate${i}`,
    download: `certificate${i}.txt`, title: "what the command prints of the model at this step, from 10,000 samples",
    textContent: k > 1 ? ` Certificate ${i + 1} ` : "Certificate" })).filter(Boolean));
  $("exports").hidden = Boolean(opening.search);
  if (opening.search) return $("right").replaceChildren();
  $("right").replaceChildren(...PICTURES().map((id) => {
    const canvas = element("canvas", { id });
    canvas.setAttribute("role", "img");
    return element("div", {}, element("h2", { id: id + "-h" }), canvas, element("p", { className: "caption", id: id + "-c" }));
  }), element("div", {}, element("h2", { textContent: "This step" }), element("table", { id: "figures" })));
}
// a canvas in device pixels; drawing is in CSS pixels
function context(canvas, ratio) {
  const width = canvas.clientWidth, height = Math.round(width * ratio), scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = height + "px";
  }
  const c = canvas.getContext("2d");
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, height);
  return [c, width, height];
}
// from blue (w small) over grey (w = 1) to vermilion (w large), in log w
function colour(w) {
  const t = Math.max(-1, Math.min(1, Math.log10(Math.max(w, 1e-9))));
  const ends = t < 0 ? [0, 114, 178] : [213, 94, 0], grey = [110, 110, 110], s = Math.abs(t);
  return `rgb(${grey.map((g, i) => Math.round(g + s * (ends[i] - g))).join(",")})`;
}
function number(x, digits = 3) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  const text = Math.abs(x) !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5) ? x.toExponential(digits - 1) : Number(x.toPrecision(digits)).toString();
  return text.replace("-", "−");
}
const tick = (t) => number(t).replace(/\.?0+e/, "e");
function ticks(low, high, n) {
  const raw = (high - low) / n, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) ?? raw;
  const out = [];
  for (let t = Math.ceil(low / step) * step; t <= high + 1e-9 * step; t += step) out.push(Math.abs(t) < 1e-9 * step ? 0 : t);
  return out;
}
// axes with labels; returns the maps to pixels
function axes(c, width, height, x, y, labels, margin = [46, 12, 8, 34], given = [null, null]) {
  const [, right, top, bottom] = margin;
  c.font = `${window.innerWidth >= 1700 ? 13 : 12}px system-ui, 'DejaVu Sans', sans-serif`;
  const rows = given[1] ?? ticks(y[0], y[1], Math.max(2, (height - top - bottom) / 32));
  // room for the label and the widest tick
  const left = Math.max(margin[0], 24 + Math.max(0, ...rows.map((t) => c.measureText(tick(t)).width)));
  const px = (v) => left + (width - left - right) * (v - x[0]) / (x[1] - x[0] || 1);
  const py = (v) => height - bottom - (height - top - bottom) * (v - y[0]) / (y[1] - y[0] || 1);
  c.lineWidth = 1;
  c.setLineDash([]);
  c.textAlign = "center"; c.textBaseline = "top";
  for (const t of given[0] ?? ticks(x[0], x[1], Math.max(2, (width - left) / 75))) {
    c.strokeStyle = "#e4e4e4"; c.beginPath(); c.moveTo(px(t), top); c.lineTo(px(t), height - bottom); c.stroke();
    c.fillStyle = "#222"; c.fillText(tick(t), px(t), height - bottom + 4);
  }
  c.fillText(labels[0], (left + width - right) / 2, height - 15);
  c.textAlign = "right"; c.textBaseline = "middle";
  for (const t of rows) {
    c.strokeStyle = "#e4e4e4"; c.beginPath(); c.moveTo(left, py(t)); c.lineTo(width - right, py(t)); c.stroke();
    c.fillStyle = "#222"; c.fillText(tick(t), left - 5, py(t));
  }
  c.save(); c.translate(9, (top + height - bottom) / 2); c.rotate(-Math.PI / 2); c.textAlign = "center"; c.fillText(labels[1], 0, 0); c.restore();
  c.strokeStyle = "#888"; c.strokeRect(left, top, width - left - right, height - top - bottom);
  return [px, py, left];
}
// until the next restore nothing is drawn outside the axes
function inside(c, width, height, left) {
  c.save(); c.beginPath(); c.rect(left, 8, width - left - 12, height - 42); c.clip();
}
function line(c, points, px, py, stroke, dash = [], width = 1.8) {
  c.strokeStyle = stroke; c.lineWidth = width; c.setLineDash(dash); c.beginPath();
  let down = false;
  for (const [x, y] of points) {
    if (y === null || !Number.isFinite(y)) { down = false; continue; }
    down ? c.lineTo(px(x), py(y)) : c.moveTo(px(x), py(y));
    down = true;
  }
  c.stroke(); c.setLineDash([]);
}
function range(values, zero, share = 1) {
  const v = values.filter((x) => x !== null && Number.isFinite(x)).sort((a, b) => a - b);
  if (!v.length) return [0, 1];
  let low = v[Math.floor((1 - share) * (v.length - 1))], high = v[Math.ceil(share * (v.length - 1))];
  if (zero) { low = Math.min(0, low); high = Math.max(0, high); }
  const room = 0.06 * (high - low || Math.abs(high) || 1);
  return [low === 0 && zero ? 0 : low - room, high + room];
}

const PICTURES = () => [
  "fall", ...(opening.panes[0].why_no_curves ? [] : ["value", ...(opening.network ? ["evidence"] : []), "under", "inflow"]), "masses",
  ...(opening.panes[0].weight ? ["weights", "elasticity"] : [])];
const DRAW = { fall: drawFall, value: drawValue, evidence: drawEvidence, under: drawUnder, inflow: drawInflow, masses: drawMasses,
  weights: drawWeights, elasticity: drawElasticity };
// one picture at most for what the screen shows once, however many frames have come
function paint() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; draw(); });
}
function draw() {
  if (!last || !opening || last.panes.length !== opening.panes.length) return;
  opening.panes.forEach((pane, i) => drawPane(i, pane, last.panes[i]));
  if (opening.search) {
    return;
  }
  if (playing && performance.now() - told < OFTEN) return;
  told = performance.now();
  drawFigures();
  opening.panes.forEach((pane, i) => $("pane" + i).setAttribute("aria-label", inWords(pane, last.panes[i])));
  for (const id of PICTURES()) {
    DRAW[id]();
    $(id).setAttribute("aria-label", `${$(id + "-h").textContent}: ${$(id + "-c").textContent}`);
  }
}
// before the first step: where the search for p looks
function drawSearch({ points, over }) {
  const pane = { name: "the search for p", moves: "" };
  if (!opening?.search) {
    opening = { search: true, panes: [pane], target: $("kind").value, network: false, steps: 0, values: {}, commands: [], over };
    buildPanes();
  }
  last = { step: 0, panes: [{ points }] };
  paint();
}
function drawPane(i, pane, now) {
  const canvas = $("pane" + i), [c, width, height] = context(canvas, 1);
  const margin = [38, 6, 6, 32];
  const [px, py, left] = axes(c, width, height, opening.over.x, opening.over.y, ["x₁", "x₂"], margin,
    [opening.over.x, opening.over.y].map((r) => ticks(r[0], r[1], Math.max(4, width / 80))));
  c.save();
  c.beginPath(); c.rect(left, margin[2], width - left - margin[1], height - margin[2] - margin[3]); c.clip();
  const sx = (width - left - margin[1]) / opening.over.side, sy = (height - margin[2] - margin[3]) / opening.over.side;
  c.save(); c.translate(left, margin[2]); c.scale(sx, sy);
  for (const level of pane.paths ??= opening.over.contours.map((l) => [new Path2D(l.fill), new Path2D(l.border)])) {
    c.fillStyle = "rgba(0,114,178,0.10)"; c.fill(level[0]);
    c.strokeStyle = "rgba(0,114,178,0.55)"; c.lineWidth = 1 / sx; c.stroke(level[1]);
  }
  c.restore();
  // the samples of a network are other points than the particles of its step
  const x = now.points, n = x.length / 2, v = now.velocity, w = now.weights, from = now.at ?? x;
  if (v) {
    // an arrow of the root mean square has a fixed length
    const speeds = [], n = from.length / 2;
    for (let k = 0; k < n; k++) speeds.push(Math.hypot(v[2 * k], v[2 * k + 1]));
    const unit = 0.035 * width / (speeds.slice().sort((a, b) => a - b)[Math.floor(0.9 * n)] || 1);
    const buckets = new Map();
    for (let k = 0; k < n; k++) {
      const stroke = w ? colour(w[k]) : "#777";
      if (!buckets.has(stroke)) buckets.set(stroke, []);
      buckets.get(stroke).push(k);
    }
    c.lineWidth = 1.1; c.globalAlpha = 0.75;
    for (const [stroke, all] of buckets) {
      c.strokeStyle = stroke; c.beginPath();
      for (const k of all) {
        const length = Math.min(speeds[k] * unit, 0.1 * width) / (speeds[k] || 1);
        const [a, b] = [px(from[2 * k]), py(from[2 * k + 1])];
        const [dx, dy] = [v[2 * k] * length, -v[2 * k + 1] * length], size = Math.hypot(dx, dy);
        c.moveTo(a, b); c.lineTo(a + dx, b + dy);
        if (size < 4) continue;
        const head = Math.min(4, 0.4 * size) / size;
        for (const side of [0.5, -0.5]) {
          c.moveTo(a + dx, b + dy);
          c.lineTo(a + dx - head * (0.87 * dx - side * dy), b + dy - head * (0.87 * dy + side * dx));
        }
      }
      c.stroke();
    }
    c.globalAlpha = 1;
  }
  c.fillStyle = "#111";
  const size = Math.min(n > 600 ? 1.5 : 2.2, width / 200);
  for (let k = 0; k < n; k++) { c.beginPath(); c.arc(px(x[2 * k]), py(x[2 * k + 1]), size, 0, 7); c.fill(); }
  if (state.modes !== undefined) {
    modes().forEach((m, k) => {
      const at = drag?.mode === k ? drag.at : m;
      c.strokeStyle = "#111"; c.lineWidth = 2; c.fillStyle = "rgba(230,159,0,0.85)";
      c.beginPath(); c.arc(px(at[0]), py(at[1]), 8, 0, 7); c.fill(); c.stroke();
      c.fillStyle = "#111"; c.textAlign = "center"; c.textBaseline = "middle"; c.fillText(k + 1, px(at[0]), py(at[1]));
    });
  }
  c.restore();
  if (now.skipped) { c.fillStyle = "#a03000"; c.textAlign = "left"; c.fillText("this step was left out: log p~ is not finite", left + 6, margin[2] + 10); }
  canvas.place = { px, py };
}
function inWords(pane, now) {
  return `${now.points.length / 2} ${opening.network ? "samples" : "particles"} at step ${last.step} of ${pane.name} over contours of ${opening.target}` +
    (now.modes ? `; total variation of mode masses ${number(now.modes.total_variation)}` : "");
}
function writeKey() {
  const pane = opening.panes[0];
  if (opening.search) {
    $("key").textContent = "dots: where the search for p asks for log p~; the network starts from the particles at its end";
    return;
  }
  $("key").replaceChildren("shaded: regions that hold 50, 90 and 99 % of p; " + (opening.network ? "dots: samples, always of the same noise; " +
    "lines: V at the particles of the step" : `lines: ${pane.moves}`), ...(pane.weight ? [", coloured by the weight w(r): ",
    element("span", { className: "together" }, "0.1", Object.assign(element("i", {}),
      { style: `background:linear-gradient(90deg,${[0.1, 0.3, 1, 3, 10].map(colour).join(",")})` }), "10")] : []));
}
function series(pick) {
  return opening.panes.map((_, i) => past.map((h) => [h.step * unit(), pick(h.panes[i])]));
}
// what a step is worth on the axis
const unit = () => opening.dt || 1;
const AXIS = () => opening.network ? "step" : "time t";
const SPAN = () => [Math.min(...past.map((h) => h.step)) * unit(), Math.max(last.step, 1) * unit()];
function why(id) {
  const words = opening.panes.map((p) => p.why_no_curves).find(Boolean);
  const lost = !words && last.panes.every((p) => !p.curves || p.curves[0] === null) && !last.finished;
  $(id).hidden = Boolean(words);
  $(id + "-c").textContent = words ?? (!lost ? "" : opening.network ? "not shown here: more than 0.5 % of q is not on the grid" :
    "not shown: particles have left the grid");
  return words || lost;
}
// what must agree: black a difference over the step, dashed the chain rule for it; of particles dotted the statement, thick the same for the
// field as it is followed; of a network a band of two deviations
function agree(id, pick) {
  const [c, width, height] = context($(id), 0.48);
  const [fall, stated, chain, beside] = [1, 2, 3, 4].map((k) => series((p) => pick(p)?.[k] ?? null));
  const shown = opening.network ? [fall, chain] : [fall, stated, chain, beside];
  const [px, py, left] = axes(c, width, height, SPAN(), range(shown.flat(2).map((p) => p[1]), true, 0.995), [AXIS(), opening.network ? "in a step" : "per unit of time"]);
  inside(c, width, height, left);
  opening.panes.forEach((_, i) => alike(c, [fall[i], chain[i], beside[i], stated[i]], px, py, COLOURS[i]));
  c.restore();
}
function alike(c, [fall, chain, beside, stated], px, py, colour) {
  if (opening.network) band(c, chain, beside, px, py, colour);
  else {
    line(c, beside, px, py, colour, [], 4.5);
    line(c, stated, px, py, colour, [1, 3], 2);
  }
  line(c, fall, px, py, "#111", [], 1.4);
  line(c, chain, px, py, opening.network ? colour : "#56B4E9", [3, 3], 1.6);
}
function drawFall() {
  const none = opening.panes[0].why_no_curves;
  $("fall-h").textContent = none ? "What must agree" : opening.network ? "Fall of D in a step, and E_q V·x'  (T3, T9)" : "−dF_h/dt and E_q|V_h|²  (T11)";
  agree("fall", (p) => p.curves);
  if (why("fall")) return;
  const now = last.panes.map((p) => p.curves).find(Boolean);
  $("fall-c").textContent = opening.network ? stepInWords() :
    "Dotted: E_q|V_h|², what T11 says; thick: the same where h|∇log r_h| is cut at 2, as the drift does; " +
    "black: −ΔF_h/Δt, measured on a grid; dashed: E_q V_h·x', the chain rule for the step as taken. " +
    (now && now[3] === null ? "With reaction black is more: births lower F_h too (T15)." :
      "Black meets dashed up to dt; thick meets them up to the noise of one draw a particle, 1/√N.") +
    (now ? ` Now ${[2, 4, 1, 3].map((k) => number(now[k])).join(", ")}.` : "");
}
// y ± two deviations around a line
function band(c, middle, deviations, px, py, colour) {
  const both = middle.map(([x, y], k) => [x, y, deviations[k][1]]).filter(([, y, s]) => Number.isFinite(y) && y !== null && s !== null);
  c.fillStyle = colour; c.globalAlpha = 0.18; c.beginPath();
  both.forEach(([x, y, s], k) => k ? c.lineTo(px(x), py(y + 2 * s)) : c.moveTo(px(x), py(y + 2 * s)));
  both.reverse().forEach(([x, y, s]) => c.lineTo(px(x), py(y - 2 * s)));
  c.fill(); c.globalAlpha = 1;
}
function stepInWords() {
  const now = past.findLast((h) => h.panes.some((p) => p.curves && p.curves[1] !== null))?.panes.map((p) => p.curves).find(Boolean);
  const words = "Black: −ΔD over the step, measured on a grid by the model's density; dashed: E_q V·x', x' the step of the samples as taken, " +
    "± two deviations of a mean over N. They meet: what moves the samples lowers D by what it has of V (T9). ";
  if (!now) return words;
  if (now[3] === null) return words + "With a reaction on weights black is more: births lower D too (T15).";
  return words + `Now ${number(now[1])} and ${number(now[3])} ± ${number(2 * now[4], 2)}. E_q|V|² = ${number(now[2])} is the fall per unit of time ` +
    `along V itself (T3): this step is worth ${number(now[3] / now[2])} of it.`;
}
function drawValue() {
  $("value-h").textContent = opening.network ? "D_f(p‖q) of the model's law" : "F_h = D_f(p_h‖q_h) of the particles";
  const [c, width, height] = context($("value"), 0.42);
  const value = series((p) => p.curves?.[0] ?? null);
  const [px, py] = axes(c, width, height, SPAN(), range(value.flat().map((p) => p[1]), true), [AXIS(), "in units of f"]);
  opening.panes.forEach((_, i) => line(c, value[i], px, py, COLOURS[i], DASHES[i], 2));
  if (why("value")) return;
  const parts = opening.panes.map((p, i) => `${p.name}: ${number(last.panes[i].curves?.[0])}`);
  $("value-c").textContent = opening.network ? `${parts.join("; ")}. By quadrature on a grid, of the density that the model knows exactly.` :
    `${parts.join("; ")}; h = ${opening.panes[0].bandwidth}. It ends above 0: N points are not p (T16).`;
}
function drawUnder() {
  $("under-h").textContent = opening.network ? "Fall of U, the mass that q under-covers  (T5)" : "−dU_h/dt, the mass that q_h under-covers  (T5, T17)";
  agree("under", (p) => p.under);
  if (why("under")) return;
  const parts = opening.panes.map((p, i) => `${p.name}: ${opening.network ? "U" : "U_h"} = ${number(last.panes[i].under?.[0])}`).join("; ");
  $("under-c").textContent = (opening.network ?
    "Black: −ΔU on the grid; dashed: E_p (s′ + s″)(l) ∇l·x′ of the samples' step, l = log r, ± two deviations. " :
    "Black: −ΔU_h/Δt; dashed: E_q V^U·x′ for the step as taken, V^U = φ_h ∗ (r (s′ + s″)(l) ∇l), l = log r_h; dotted: E_q V_h·V^U (T17(d)); " +
    "thick: the same as the drift follows it. It has no sign: a drift can lower F_h and raise U_h (T21). ") + parts + ".";
}
// the axis of l: the region above a level is that before the step
function drawInflow() {
  $("inflow-h").textContent = "Inflow through each level of l, and w G  (T6)";
  const [c, width, height] = context($("inflow"), 0.5), end = opening.panes[0].end;
  const rows = opening.panes.map((p, i) => ["measured", "taken", "beside", "stated"].map((key) => p.levels.map((l, k) => [l, flowing[i]?.[key][k] ?? null])));
  const drawn = rows.flatMap((r) => opening.network ? [r[0], r[1], r[3]] : r).flat();
  const [px, py, left] = axes(c, width, height, [-end, end], range(drawn.map((p) => p[1]), true), ["level λ of l = log p/q", opening.network ? "mass in a step" : "mass per unit of time"]);
  inside(c, width, height, left);
  rows.forEach((r, i) => {
    alike(c, r, px, py, COLOURS[i]);
    if (opening.network) line(c, r[3], px, py, COLOURS[i], [1, 3], 2);
  });
  c.restore();
  if (why("inflow")) return;
  $("inflow-c").textContent = opening.network ?
    "Black: what the step adds to the mass of q in {l > λ}, on the grid; dashed: by the samples that cross, ± two deviations; " +
    "dotted: w(e^λ) G(λ), T6, times the time −ΔD/E_q|V|² that the step is worth. Dotted parts from them where the network cannot follow V." :
    "Black: what q_h gains in {l > λ}, on the grid; dashed: the flow of the particles through the level, as they moved; thick: the same along V_h as " +
    "followed; dotted: w(e^λ) G(λ), T6, the field before φ_h blurs it: the others reach it as h falls.";
}
function drawEvidence() {
  $("evidence-h").textContent = "log Z between its bounds, and the certificate  (T25)";
  const [c, width, height] = context($("evidence"), 0.42);
  const of = (name, k) => series((p) => p.certificate?.[name]?.[k] ?? null);
  const [low, z, high, errors] = [of("elbo", 0), of("log_z", 0), of("eubo", 0), of("log_z", 1)];
  const truth = opening.log_z;
  const values = [low, z, high].flat(2).map((p) => p[1]);
  if (truth !== null) values.push(truth);
  const [px, py, left] = axes(c, width, height, SPAN(), range(values, false, 0.99), [AXIS(), "nats"]);
  inside(c, width, height, left);
  opening.panes.forEach((_, i) => {
    band(c, z[i], errors[i], px, py, COLOURS[i]);
    line(c, low[i], px, py, COLOURS[i], [6, 3], 1.5);
    line(c, high[i], px, py, COLOURS[i], [2, 3], 1.5);
    line(c, z[i], px, py, COLOURS[i], [], 2);
  });
  if (truth !== null) line(c, SPAN().map((x) => [x, truth]), px, py, "#111", [], 1.2);
  c.restore();
  const now = last.panes.map((p) => p.certificate);
  const parts = opening.panes.map((p, i) => now[i] && `${p.name}: log Z = ${number(now[i].log_z[0])} ± ${number(now[i].log_z[1], 2)}, ESS ${number(now[i].ess)}, ` +
    `k̂ ${number(now[i].k, 2)}: ${now[i].words}`).filter(Boolean);
  $("evidence-c").textContent = parts.length ? `Line: log Z from the weights p/q of the samples, ± two deviations; dashed: ELBO, dotted: EUBO, by exact samples; ` +
    `black: the truth. ${parts.join("; ")}. No certificate sees a mode without samples.` : opening.panes[0].why_no_curves ?? "";
}
function drawMasses() {
  $("masses-h").textContent = "Mass of each mode";
  const [c, width, height] = context($("masses"), 0.42);
  const modes = last.panes[0].modes;
  $("masses").hidden = !modes;
  if (!modes) { $("masses-c").textContent = "the target is no mixture: it has no list of modes"; return; }
  const k = modes.truths.length, wide = Math.max(...modes.truths, ...last.panes.flatMap((p) => p.modes.masses));
  const [px, py] = axes(c, width, height, [0.5, k + 0.5], [0, 1.1 * wide], ["mode", "share of particles"], undefined,
    [modes.truths.map((_, m) => m + 1).filter((m) => k <= 12 || m % Math.ceil(k / 12) === 0), null]);
  const slot = (px(2) - px(1)) * 0.7, count = last.panes.length;
  modes.truths.forEach((truth, m) => {
    const floor = modes.floors[m], left = px(m + 1) - slot * 0.6;
    last.panes.forEach((p, i) => {
      c.fillStyle = COLOURS[i];
      c.globalAlpha = 0.75;
      c.fillRect(px(m + 1) - slot / 2 + i * slot / count, py(p.modes.masses[m]), slot / count - 1, py(0) - py(p.modes.masses[m]));
      c.globalAlpha = 1;
    });
    c.fillStyle = "rgba(0,0,0,0.18)"; c.fillRect(left, py(truth + 2 * floor), slot * 1.2, py(truth - 2 * floor) - py(truth + 2 * floor));
    c.strokeStyle = "#111"; c.lineWidth = 1.5; c.beginPath(); c.moveTo(left, py(truth)); c.lineTo(left + slot * 1.2, py(truth)); c.stroke();
  });
  const parts = opening.panes.map((p, i) => `${p.name}: total variation ${number(last.panes[i].modes.total_variation)}`);
  $("masses-c").textContent = `line: the truth; grey: ± two deviations of as many exact samples. ${parts.join("; ")}. No drift moves mass across a gap (T14); the reaction does (T15).`;
}
function drawWeights() {
  $("weights-h").textContent = "Where particles are on the axis of l = log r, and w there";
  const [c, width, height] = context($("weights"), 0.46);
  const pane = opening.panes[0], end = pane.end;
  const all = opening.panes.flatMap((p) => p.weights), high = Math.min(Math.max(...all), 20);
  const [px, py, left] = axes(c, width, height, [-end, end], [0, 1.08 * high], ["l = log p/q  (left: too many, right: too few)", "weight w"]);
  opening.panes.forEach((p, i) => {
    const bars = last.panes[i].bars;
    if (bars) {
      const top = Math.max(...bars), step = 2 * end / bars.length;
      c.fillStyle = COLOURS[i]; c.globalAlpha = 0.3;
      bars.forEach((b, k) => c.fillRect(px(-end + k * step), py(0) - (py(0) - 8) * 0.9 * b / top, px(step) - px(0), (py(0) - 8) * 0.9 * b / top));
      c.globalAlpha = 1;
    }
  });
  inside(c, width, height, left);
  opening.panes.forEach((p, i) => line(c, p.axis.map((l, k) => [l, p.weights[k]]), px, py, COLOURS[i], DASHES[i], 2.2));
  c.restore();
  $("weights-c").textContent = `bars: particles; lines: w (T4). At l = 0: w = ${opening.panes.map((p) => number(p.weights[p.axis.length >> 1])).join(", ")}. Beyond |l| = ${pane.clip} w stays.`;
}
function drawElasticity() {
  $("elasticity-h").textContent = "Elasticity e of w, and the threshold of repair e_c  (T4, T17)";
  const [c, width, height] = context($("elasticity"), 0.46), end = opening.panes[0].end;
  const all = opening.panes.flatMap((p) => p.elasticity);
  const [px, py, left] = axes(c, width, height, [-end, end], [Math.min(...all, 0) - 1, Math.max(...all, 1) + 1], ["l = log p/q", "e, e_c"]);
  inside(c, width, height, left);
  opening.panes.forEach((p, i) => {
    c.globalAlpha = 0.35;
    line(c, p.levels.map((l, k) => [l, flowing[i]?.threshold[k] ?? null]), px, py, COLOURS[i], [], 5);
    c.globalAlpha = 1;
    line(c, p.axis.map((l, k) => [l, p.elasticity[k]]), px, py, COLOURS[i], DASHES[i], 2.2);
  });
  c.restore();
  $("elasticity-c").textContent = `lines: e = d log w/dl, at l = 0: ${opening.panes.map((p) => number(p.elasticity[p.axis.length >> 1])).join(", ")}; pale: e_c = −(log G)′, of p and q alone` +
    `${flowing.length ? "" : ", not known here"}. Where its line is below the pale one a drift lowers the p-mass above that level, whatever the size of w` +
    `${opening.network ? "" : "; smoothing is left out of this"}.`;
}
function drawFigures() {
  const rows = new Map();
  last.panes.forEach((p, i) => p.figures.forEach((f) => {
    if (!rows.has(f.key)) rows.set(f.key, [f.label, []]);
    rows.get(f.key)[1][i] = f.value;
  }));
  const head = element("tr", {}, element("th", { textContent: "figure" }), ...opening.panes.map((p) => element("th", { textContent: opening.panes.length > 1 ? p.name : "" })));
  $("figures").replaceChildren(head, ...[...rows.values()].map(([label, values]) =>
    element("tr", {}, element("td", { textContent: label }), ...opening.panes.map((_, i) => element("td", { textContent: number(values[i], 4) })))));
}

// --- modes that are dragged -----------------------------------------------------------------------------------------------
function where(e, canvas) {
  const box = canvas.getBoundingClientRect(), { px, py } = canvas.place;
  const back = (p, a, b, f) => a + (b - a) * (p - f(a)) / (f(b) - f(a));
  return [back(e.clientX - box.left, ...opening.over.x, px), back(e.clientY - box.top, ...opening.over.y, py)];
}
function grab(e, canvas) {
  if (state.modes === undefined || !canvas.place) return;
  const box = canvas.getBoundingClientRect();
  modes().forEach((m, k) => {
    if (Math.hypot(e.clientX - box.left - canvas.place.px(m[0]), e.clientY - box.top - canvas.place.py(m[1])) < 12) drag = { mode: k, at: m };
  });
  if (drag) canvas.setPointerCapture(e.pointerId);
}
function move(e, canvas) {
  if (!drag) return;
  drag.at = where(e, canvas);
  paint();
}
function release() {
  if (!drag) return;
  const all = modes();
  [all[drag.mode][0], all[drag.mode][1]] = drag.at;
  drag = null;
  setModes(all);
}

// --- what is pressed --------------------------------------------------------------------------------------------------------
function wire() {
  $("kind").onchange = () => {
    const kind = $("kind").value;
    delete state.formula; delete state.modes;
    if (kind === "formula") state.formula = $("formula").value || "-(x1^2 + x2^2 - 4)^2 / 4";
    if (kind === "mixture") state.modes = (opening?.modes ?? [[-2, 0, 0.6, 0.5], [2, 0, 0.6, 0.5]]).map((m) => m.map((v) => Number(v.toPrecision(4))).join(",")).join(";");
    restart();
  };
  $("target").onchange = () => { set("target", $("target").value); restart(); };
  $("apply").onclick = () => { set("formula", $("formula").value); restart(); };
  $("add").onclick = () => setModes([...modes(), [0, 0, modes()[0]?.[2] ?? 1, modes()[0]?.[3] ?? 1]]);
  $("play").onclick = () => play(!playing);
  $("once").onclick = () => { play(false); tell("do=once"); };
  $("back").onclick = () => seek((last?.step ?? 1) - 1);
  $("start").onclick = () => seek(0);
  $("speed").onchange = () => { set("speed", $("speed").value); writeAddress(); tell("do=speed&steps=" + $("speed").value); };
  $("seek").onchange = () => seek(Number($("seek").value));
  $("link").onclick = () => {
    play(false);
    writeAddress(last?.step ?? 0);
    navigator.clipboard?.writeText(location.href).catch(() => 0);
    $("link").textContent = "The address above is the link";
    setTimeout(() => { $("link").textContent = "Link to this picture"; }, 3000);
  };
  $("controls").onsubmit = (e) => e.preventDefault();
  document.addEventListener("keydown", (e) => {
    if (["INPUT", "SELECT", "TEXTAREA", "BUTTON", "A"].includes(e.target.tagName)) return;
    const act = { " ": () => play(!playing), ArrowRight: () => $("once").click(), ArrowLeft: () => $("back").click(), Home: () => seek(0) }[e.key];
    if (act) { e.preventDefault(); act(); }
  });
  window.addEventListener("resize", paint);
  window.addEventListener("hashchange", () => { readAddress(); restart(true); });
}
fetch("catalogue").then((r) => r.json()).then((c) => {
  catalogue = c;
  buildControls();
  wire();
  readAddress();
  restart(true);
});
