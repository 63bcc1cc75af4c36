// The board: the effects that run, in order, with a knob for every parameter.
// A parameter is set in what runs; another order, an effect more or less is another board.

import { ask, fill, fixed, knob, press } from "./knobs.js";

const MANY = ["Board", "Mix"], YOURS = "module:Class";
let kinds = [], models = [], rows = {}, knobs = {}, shape = "", single = false;

export function known(effects, names) {
  kinds = effects.filter((kind) => kind.streams);
  models = names;
  fill($("kind"), [...kinds.map(({ name }) => [name, name]), [YOURS, "one of yours"]]);
  shape = "";
  needs();
}

// The list that holds the effect at a path as "2/1", and its place in it.
function spot(effects, path) {
  const steps = path.split("/").map(Number), last = steps.pop();
  return [steps.reduce((list, at) => list[at - 1].effect, effects), last - 1];
}

// Changes to the board that `edit` makes of the one that runs.
function arrange(edit, focus) {
  const done = arranging.catch(() => {}).then(async () => {
    const effects = await ask("board"); // as it is: values change without this page
    edit(effects);
    wanted = focus || null; // the run may report the board before it answers
    try { await ask("arrange", { effects }); } catch (error) {
      wanted = null;
      throw error;
    }
  });
  arranging = done;
  return done;
}
let arranging = Promise.resolve(); // one after the other: each begins with what the run has then
let wanted = null; // what gets the focus when the board is drawn again

function settings(effect, path) {
  const kind = kinds.find(({ name }) => name === effect.type);
  const fields = [];
  for (const row of Object.values(rows)) {
    if (row.path.slice(0, row.path.lastIndexOf("/")) !== path) continue;
    if (single && ["mix", "atten_lim_db", "residual"].includes(row.name)) continue; // shown above
    const listed = kind && kind.parameters.find(({ name }) => name === row.name);
    const none = listed && listed.default === null && !listed.required && row.kind === "float";
    const shown = none ? { ...row, none: "no limit" } : row;
    const one = knob(`k-${row.path.replaceAll("/", "-")}`, shown,
      (value) => ask("set", { path: row.path, value }));
    knobs[row.path] = one;
    fields.push(one.node);
  }
  for (const p of kind ? kind.parameters : []) {
    if (rows[`${path}/${p.name}`] || single) continue; // a single model is chosen above
    const value = effect[p.name] ?? (String(p.default).startsWith("<") ? null : p.default);
    const row = { name: p.name, value, unit: p.unit, least: p.low, most: p.high };
    if (p.name === "model") row.choices = [...new Set([...models, value])];
    const one = fixed(`k-${path.replaceAll("/", "-")}-${p.name}`, row, async (given) => {
      await arrange((effects) => { const [list, at] = spot(effects, path); list[at][p.name] = given; });
      return given;
    });
    fields.push(one.node);
  }
  return fields;
}

function card(effect, path, count) {
  const at = +path.split("/").at(-1), id = `e-${path.replaceAll("/", "-")}`;
  const name = `${effect.type}, effect ${path.replaceAll("/", ".")}`;
  const button = (what, text, title, off, edit, focus) => make("button", {
    type: "button", class: "small", id: `${id}-${what}`, "aria-label": `${title} ${name}`,
    title, disabled: off,
    onclick: ({ currentTarget }) => press(currentTarget, () => arrange(edit, focus)),
  }, text);
  const move = (by) => (effects) => {
    const [list, place] = spot(effects, path), [one] = list.splice(place, 1);
    list.splice(place + by, 0, one);
  };
  const next = (by) => `${[...path.split("/").slice(0, -1), at + by].join("-")}`;
  const node = make("li", { class: "effect", id, tabindex: -1 },
    make("header", {}, make("b", {}, `${path.replaceAll("/", ".")} ${effect.type}`),
      button("up", "↑", "Move up", at === 1, move(-1), [`e-${next(-1)}-up`, `e-${next(-1)}-down`]),
      button("down", "↓", "Move down", at === count, move(1), [`e-${next(1)}-down`, `e-${next(1)}-up`]),
      button("remove", "Remove", "Remove", false, (effects) => {
        const [list, place] = spot(effects, path);
        list.splice(place, 1);
      }, ["kind"])));
  const fields = settings(effect, path);
  if (fields.length) node.append(make("div", { class: "fields" }, ...fields));
  if (effect.effect) {
    node.append(make("ol", {}, ...effect.effect.map((inner, place) =>
      card(inner, `${path}/${place + 1}`, effect.effect.length))));
  }
  return node;
}

// What is drawn again when it differs: kinds and places, and settings without a parameter.
function outline(effects, path = "") {
  return (effects || []).map((effect, at) => {
    const place = `${path}${at + 1}`, kept = {};
    for (const [name, value] of Object.entries(effect)) {
      if (name !== "effect" && !rows[`${place}/${name}`]) kept[name] = value;
    }
    return [kept, outline(effect.effect, `${place}/`)];
  });
}

function containers(effects, path = "") {
  return effects.flatMap((effect, at) => {
    const place = `${path}${at + 1}`, inner = containers(effect.effect || [], `${place}/`);
    return MANY.includes(effect.type) ? [[place, `${place} ${effect.type}`], ...inner] : inner;
  });
}

// Shows the board as the run reports it. `effects` null: it does not tell.
export function show(effects, parameters, model) {
  single = model !== null;
  rows = Object.fromEntries(parameters.map((row) => [row.path, row]));
  $("no-board").textContent = effects === null
    ? "An effect that runs does not tell what it was made of, so that it cannot be rearranged."
    : effects.length ? "" : "The board is empty: the sound passes as it comes.";
  $("add").hidden = effects === null;
  const drawn = JSON.stringify([outline(effects), Object.keys(rows), single, kinds.length]);
  if (drawn === shape) {
    for (const row of parameters) if (knobs[row.path]) knobs[row.path].show(row.value);
    return;
  }
  shape = drawn;
  knobs = {};
  const focused = document.activeElement && document.activeElement.id;
  const inside = $("board").contains(document.activeElement) || wanted;
  const list = effects ?? [...new Set(parameters.map(({ path }) => path.split("/")[0]))].map((at) => ({
    type: parameters.find(({ path }) => path.startsWith(`${at}/`)).effect }));
  $("board").replaceChildren(...list.map((effect, at) => card(effect, `${at + 1}`, list.length)));
  if (effects === null) $("board").querySelectorAll("header button").forEach((b) => { b.disabled = true; });
  if (inside) {
    const target = (wanted || [focused]).map($).find((node) => node && !node.disabled);
    if (target) target.focus();
    wanted = null;
  }
  const inner = containers(effects || []);
  $("where").parentElement.hidden = !inner.length;
  fill($("where"), [["", "the board"], ...inner]);
}

export function none() {
  shape = "";
  knobs = {};
  $("board").replaceChildren();
  $("no-board").textContent = "";
}

// Fields for what an effect needs before it can be made.
function needs() {
  const kind = kinds.find(({ name }) => name === $("kind").value);
  const asked = kind ? kind.parameters.filter(({ required }) => required).map(({ name }) => name)
    : [YOURS];
  $("kind-about").textContent = kind ? kind.summary : "A class of yours: a subclass of rtdenoise.Effect.";
  $("needs").replaceChildren(...asked.flatMap((name) => [
    make("label", { for: `need-${name}` }, name.replaceAll("_", " ")),
    make("input", { id: `need-${name}`, type: "text", required: true, autocomplete: "off",
      "data-name": name })]));
}
$("kind").addEventListener("change", needs);

$("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const effect = { type: $("kind").value };
  $("needs").querySelectorAll("input").forEach((input) => {
    if (input.dataset.name === YOURS) effect.type = input.value;
    else effect[input.dataset.name] = input.value;
  });
  if (effect.type === "DryWet") effect.effect = [{ type: "Gain", gain_db: 0 }];
  const within = $("where").parentElement.hidden ? "" : $("where").value;
  arrange((effects) => {
    if (within) {
      const [list, at] = spot(effects, within);
      (list[at].effect ||= []).push(effect);
    } else effects.push(effect);
  }).catch(() => {}); // it is shown
});
