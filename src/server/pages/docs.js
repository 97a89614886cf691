// Draws the API page from openapi.json and sends what its forms say. Nothing
// is loaded from elsewhere and nothing is stored: the key lives in its input.
"use strict";

const base = new URL(".", document.baseURI);
const PHASES = ["auth", "plan", "cache", "queue", "dns", "connect", "tls", "upstream"];
let api;

/** An element with attributes, listeners (`onclick`) and children. */
function el(tag, attributes, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null));
  return node;
}

/** Paragraphs and `code`: all the markup the descriptions use. */
function prose(text) {
  return (text || "").split("\n\n").map((paragraph) => el("p", {}, inline(paragraph)));
}
function inline(text) {
  return (text || "").split(/(`[^`]+`)/).filter(Boolean)
    .map((part) => (part.length > 2 && part.startsWith("`") ? el("code", {}, part.slice(1, -1)) : part));
}

/** What a local `$ref` stands for. */
function deref(node) {
  let hops = 0;
  while (node && node.$ref && hops++ < 9) {
    node = node.$ref.slice(2).split("/").reduce((at, key) => at[key.replace(/~1/g, "/").replace(/~0/g, "~")], api);
  }
  return node || {};
}

/** The object that a schema's `allOf` adds up to. */
function merged(schema) {
  schema = deref(schema);
  if (!schema.allOf) return schema;
  const whole = { type: "object", description: schema.description, properties: {}, required: [] };
  for (const part of schema.allOf.map(merged)) {
    Object.assign(whole.properties, part.properties);
    whole.required.push(...(part.required || []));
  }
  return whole;
}

function typeName(schema) {
  const name = schema.$ref && schema.$ref.split("/").pop();
  const seen = deref(schema);
  if (seen.enum) return seen.enum.length > 6 ? "string, one of a list" : seen.enum.join(" | ");
  if (seen.const !== undefined) return JSON.stringify(seen.const);
  const choice = seen.oneOf || seen.anyOf;
  if (choice) return choice.map(typeName).join(" or ");
  if (seen.type === "array") return `list of ${typeName(seen.items || {})}`;
  if (name && (seen.properties || seen.allOf)) return name;
  const type = [].concat(seen.type || "anything").join(" or ");
  const bounds = [seen.minimum !== undefined && `≥ ${seen.minimum}`, seen.maximum !== undefined && `≤ ${seen.maximum}`,
    seen.default !== undefined && `default ${seen.default}`].filter(Boolean);
  return [type, ...bounds].join(", ");
}

/** A table of a schema's fields, nested objects indented below their field. */
function schemaView(schema, depth = 0) {
  const whole = merged(schema);
  const parts = [];
  if (depth === 0 && whole.description) parts.push(...prose(whole.description));
  const branches = whole.oneOf || whole.anyOf;
  if (branches && depth === 0) {
    for (const branch of branches) {
      parts.push(el("p.mono", {}, typeName(branch)), el(".inner", {}, schemaView(branch, 1)));
    }
  }
  if (whole.enum && depth === 0) parts.push(el("p.mono", {}, whole.enum.join(" · ")));
  const fields = Object.entries(whole.properties || {});
  if (fields.length) {
    parts.push(el("table", {}, fields.map(([name, field]) => {
      const seen = deref(field);
      const nested = [seen, deref(seen.items || {}), ...(deref(seen.items || {}).oneOf || [])].map(merged).find((s) => s.properties);
      return el("tr", {},
        el("td", {}, el("code", {}, name), (whole.required || []).includes(name) ? el("span.must", {}, "required") : null,
          el("span.type", {}, typeName(field))),
        el("td", {}, inline(seen.description), nested && depth < 3 ? el(".inner", {}, schemaView(nested, depth + 1)) : null));
    })));
  }
  return parts;
}

function fold(title, ...content) {
  return el("details.fold", {}, el("summary", {}, title), content);
}
function exampleText(example) {
  const value = deref(example).value;
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function contentView(content) {
  return Object.entries(content || {}).map(([type, media]) => [
    el("p.mono", {}, type),
    schemaView(media.schema || {}),
    Object.values(media.examples || {}).map((example) => el("pre", { tabindex: 0 }, exampleText(example))),
  ]);
}

function responseView([status, response]) {
  const seen = deref(response);
  const headers = Object.entries(seen.headers || {}).map(([name, header]) => [name, deref(header)]);
  return el("details.fold", {},
    el("summary", {}, el(`span.status.${/^2|^3/.test(status) ? "good" : "bad"}`, {}, status), " ", inline(seen.description)),
    el(".inner", {}, contentView(seen.content),
      headers.length ? fold("Headers", el("table", {}, headers.map(([name, header]) =>
        el("tr", {}, el("td", {}, el("code", {}, name)), el("td", {}, inline(header.description)))))) : null));
}

// ---- trying it -------------------------------------------------------------

const quote = (text) => `'${text.replace(/'/g, "'\\''")}'`;

/** The form's request, with `key` as the key it is sent with. */
function requestOf(form, key) {
  const { method, path, operation } = form;
  let route = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, input } of form.inputs) {
    const value = input.value.trim();
    if (parameter.in === "path") {
      route = route.replace(`{${parameter.name}}`, value.split("/").map(encodeURIComponent).join("/"));
    } else if (value && parameter.in === "query") query.append(parameter.name, value);
    else if (value && parameter.in === "header") headers[parameter.name] = value;
  }
  if (key) {
    const first = Object.keys((operation.security || [{}])[0] || {})[0];
    if (first === "x-api-key") headers["x-api-key"] = key;
    else if (first) headers.authorization = `Bearer ${key}`;
  }
  const body = form.body && form.body.value.trim() ? form.body.value : undefined;
  if (body) headers["content-type"] = "application/json";
  const url = new URL(route.replace(/^\//, ""), base);
  url.search = query;
  return { url, method: method.toUpperCase(), headers, body };
}

function curlOf({ url, method, headers, body }) {
  const streams = /event-stream|ndjson|text\/plain/.test(headers.Accept || "") || /"stream"\s*:\s*true/.test(body || "");
  const words = [`curl${streams ? " -N" : ""} ${quote(url.href)}`];
  if (method !== (body ? "POST" : "GET")) words.push(`-X ${method}`);
  for (const [name, value] of Object.entries(headers)) {
    words.push(value.includes("$NOWAIT_KEY") ? `-H "${name}: ${value}"` : `-H ${quote(`${name}: ${value}`)}`);
  }
  if (body) words.push(`-d ${quote(body)}`);
  return words.join(" \\\n  ");
}

/** `name;dur=1.5;desc="x", …` as a list. */
function serverTiming(header) {
  return (header.match(/(?:[^,"]|"(?:\\.|[^"])*")+/g) || []).map((entry) => {
    const [name, ...rest] = entry.trim().split(";").map((part) => part.trim());
    const given = Object.fromEntries(rest.map((part) => part.split("=").map((s) => s.trim().replace(/^"|"$/g, ""))));
    return { name, ms: Number(given.dur), note: given.desc };
  });
}

/** Phases one after the other on one scale; totals on rows of their own. */
function waterfall(header) {
  const entries = serverTiming(header).filter((entry) => Number.isFinite(entry.ms));
  const phases = PHASES.map((name) => entries.findLast((entry) => entry.name === name)).filter(Boolean);
  const totals = entries.filter((entry) => !phases.includes(entry));
  let at = 0;
  let sent = 0;
  const rows = phases.map((phase) => {
    if (phase.name === "upstream") sent = at;
    const row = { ...phase, from: at };
    at += phase.ms;
    return row;
  });
  for (const total of totals) rows.push({ ...total, from: total.name === "ttft" ? sent : 0 });
  const end = Math.max(...rows.map((row) => row.from + row.ms), 0.001);
  const view = el(".waterfall", { role: "img", "aria-label": `Server-Timing: ${rows.map((r) => `${r.name} ${r.ms} ms`).join(", ")}` });
  for (const row of rows) {
    const bar = el("span.bar");
    bar.style.left = `${(row.from / end) * 100}%`;
    bar.style.width = `${(row.ms / end) * 100}%`;
    const ours = row.name === "gateway" || ["auth", "plan", "cache"].includes(row.name);
    view.append(el("span", {}, row.name), el(ours ? "span.track.ours" : "span.track", {}, bar), el("span.ms", {}, `${row.ms} ms`));
  }
  return view;
}

/** The text in one event, in whatever dialect it came. */
function deltaOf(data) {
  let event;
  try { event = JSON.parse(data); } catch { return ""; }
  const choice = (event.choices || [])[0];
  const found = choice ? (choice.delta ? choice.delta.content : choice.text)
    : event.delta && typeof event.delta === "object" ? event.delta.text : event.delta;
  return typeof found === "string" ? found : "";
}

/** The text of a whole answer, in whatever dialect it came. */
function textOf(answer) {
  if (typeof answer.response === "string") return answer.response;
  const choice = (answer.choices || [])[0];
  if (choice) return choice.message ? choice.message.content : choice.text;
  const parts = answer.content || (answer.output || []).flatMap((item) => item.content || []);
  return Array.isArray(parts) ? parts.map((part) => part.text || "").join("") : "";
}

/** Shows one piece of the body as it arrives; `rest` is what no line ended yet. */
const READERS = {
  "text/event-stream": {
    cut: /\r\n\r\n|\n\n|\r\r/,
    show(frame, view) {
      const lines = frame.split(/\r\n|\n|\r/);
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (lines.some((line) => /^event:\s*error/.test(line))) view.failed = true;
      view.text.append(deltaOf(data));
    },
  },
  "application/x-ndjson": {
    cut: /\n/,
    show(line, view) {
      if (!line.trim()) return;
      const item = JSON.parse(line);
      const said = item.error ? `✗ ${item.error.detail || item.error.message || "failed"}` : textOf(item);
      view.text.append(`${item.index}: ${said}\n`);
    },
  },
};

async function readBody(response, view, started) {
  const type = (response.headers.get("content-type") || "").split(";")[0].trim();
  const reader = READERS[type];
  const decoder = new TextDecoder();
  let rest = "";
  let all = "";
  for await (const chunk of chunks(response.body)) {
    const piece = decoder.decode(chunk, { stream: true });
    if (!all) view.line.append(el("span", {}, `first byte ${(performance.now() - started).toFixed(1)} ms`));
    all += piece;
    view.raw.append(piece);
    if (type === "text/plain") view.text.append(piece);
    if (!reader) continue;
    const frames = (rest + piece).split(reader.cut);
    rest = frames.pop();
    for (const frame of frames) reader.show(frame, view);
  }
  if (reader && rest) reader.show(rest, view);
  if (!reader && /json$/.test(type)) {
    const answer = JSON.parse(all);
    view.raw.textContent = JSON.stringify(answer, null, 2);
    view.text.append(textOf(answer) || (answer.detail ? answer.detail : answer.error && answer.error.message) || "");
  }
}

/** A body's chunks; streams are not async-iterable in every browser yet. */
async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

async function send(form) {
  const key = document.getElementById("key").value.trim();
  const request = requestOf(form, key);
  const abort = new AbortController();
  form.send.disabled = true;
  form.stop.disabled = false;
  form.stop.onclick = () => abort.abort();
  const view = {
    line: el(".line", { role: "status" }),
    text: el("pre.text.live", { "aria-live": "polite", "aria-label": "Text of the answer" }),
    raw: el("pre.mono", { tabindex: 0 }),
    failed: false,
  };
  const more = el("");
  form.result.replaceChildren(view.line, view.text, more);
  const started = performance.now();
  try {
    const response = await fetch(request.url, { ...request, signal: abort.signal });
    view.line.append(el(`span.status.${response.ok ? "good" : "bad"}`, { "data-status": response.status }, `${response.status} ${response.statusText}`),
      el("span", {}, `head ${(performance.now() - started).toFixed(1)} ms`));
    const timing = response.headers.get("server-timing");
    more.append(...(timing ? [el("h4", {}, "Server-Timing"), waterfall(timing)] : []),
      fold("Headers", el("table", {}, [...response.headers].map(([name, value]) => el("tr", {}, el("td", {}, el("code", {}, name)), el("td.mono", {}, value))))),
      fold("Body", view.raw));
    await readBody(response, view, started);
    view.line.append(el("span", { "data-end": "" }, `${view.failed ? "ended by an error event" : "complete"} after ${(performance.now() - started).toFixed(1)} ms`));
  } catch (error) {
    view.line.append(el("span.error", { "data-end": "" }, error.name === "AbortError" ? "stopped" : `failed: ${error.message}`));
  } finally {
    view.text.classList.remove("live");
    if (!view.text.textContent) view.text.remove();
    form.send.disabled = false;
    form.stop.disabled = true;
  }
}

function inputFor(parameter, example) {
  const schema = deref(parameter.schema);
  const label = [parameter.name, parameter.required ? el("span.must", {}, "required") : null];
  const options = schema.enum || (schema.type === "boolean" ? ["true", "false"] : undefined);
  const input = options
    ? el("select", {}, el("option", { value: "" }, parameter.required ? "" : "(not sent)"), options.map((option) => el("option", {}, option)))
    : el("input", { placeholder: parameter.example === undefined ? "" : `e.g. ${parameter.example}`, spellcheck: "false" });
  if (parameter.required && parameter.example !== undefined) input.value = parameter.example;
  input.name = parameter.name;
  return { parameter, input, view: el("label", { title: parameter.description }, label, input) };
}

function tryView(method, path, operation, shared) {
  const parameters = [...(shared || []), ...(operation.parameters || [])].map(deref);
  const form = { method, path, operation, inputs: parameters.map(inputFor) };
  const where = (test) => form.inputs.filter(({ parameter }) => test(parameter)).map(({ view }) => view);
  const accept = where((p) => p.name === "Accept");
  const first = [...where((p) => p.in === "path"), ...accept];
  const query = where((p) => p.in === "query");
  const header = where((p) => p.in === "header" && p.name !== "Accept");
  const media = operation.requestBody && Object.entries(deref(operation.requestBody).content || {})[0];
  const examples = media ? Object.values(media[1].examples || {}).map(deref) : [];
  if (media) {
    form.body = el("textarea", { spellcheck: "false", name: "body" });
    form.body.value = examples.length ? exampleText(examples[0]) : "";
  }
  form.send = el("button.send", { type: "submit" }, "Send");
  form.stop = el("button", { type: "button", disabled: "" }, "Stop");
  form.result = el(".result");
  const curl = el("pre.mono", { tabindex: 0 });
  const copy = el("button", { type: "button", onclick: () => navigator.clipboard.writeText(curl.textContent).then(() => { copy.textContent = "Copied"; }, () => getSelection().selectAllChildren(curl)) }, "Copy");
  const refresh = () => {
    copy.textContent = "Copy";
    curl.textContent = curlOf(requestOf(form, document.getElementById("key").value.trim() && "$NOWAIT_KEY"));
  };
  const view = el("form.try", { oninput: refresh, onchange: refresh, onsubmit: (event) => { event.preventDefault(); send(form); } },
    el("h4", {}, "Try it"),
    first.length ? el(".fields", {}, first) : null,
    examples.length > 1 ? el("label.stack", {}, "Example", el("select", {
      onchange: (event) => { form.body.value = exampleText(examples[event.target.selectedIndex]); },
    }, examples.map((example) => el("option", {}, example.summary || "example")))) : null,
    form.body ? el("label.stack", {}, "Body", form.body) : null,
    query.length ? fold("Query parameters", el(".fields", {}, query)) : null,
    header.length ? fold("Headers", el(".fields", {}, header)) : null,
    el(".actions", {}, form.send, form.stop),
    el("p.stack", {}, "As a command"), el(".curl", {}, curl, copy),
    form.result);
  document.getElementById("key").addEventListener("input", refresh);
  refresh();
  return view;
}

// ---- the page --------------------------------------------------------------

function parametersView(parameters) {
  if (!parameters.length) return null;
  return fold(`Parameters (${parameters.length})`, el("table", {}, parameters.map((parameter) =>
    el("tr", {}, el("td", {}, el("code", {}, parameter.name), parameter.required ? el("span.must", {}, "required") : null,
      el("span.type", {}, `${parameter.in}: ${typeName(parameter.schema || {})}`)), el("td", {}, inline(parameter.description))))));
}

/** One endpoint. Its inside is drawn when it is first opened. */
function operationView(method, path, operation, shared) {
  const card = el("details.op", { id: operation.operationId },
    el("summary", {}, el(`span.method.${method}`, {}, method), el("span.path", {}, path), el("span.what", {}, operation.summary)));
  card.addEventListener("toggle", () => {
    if (!card.open || card.querySelector(".body")) return;
    const parameters = [...(shared || []), ...(operation.parameters || [])].map(deref);
    const body = operation.requestBody && deref(operation.requestBody);
    const docs = operation.externalDocs;
    card.append(el(".body", {}, prose(operation.description),
      docs ? el("p", {}, el("a", { href: docs.url, rel: "noreferrer" }, docs.description)) : null,
      tryView(method, path, operation, shared),
      el("h4", {}, "Request"), parametersView(parameters),
      body ? fold("Body", inline(body.description), contentView(body.content)) : null,
      parameters.length || body ? null : el("p", {}, "Takes nothing."),
      el("h4", {}, "Responses"), Object.entries(operation.responses).map(responseView)));
  });
  return card;
}

function openFromAddress() {
  const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (card && card.tagName === "DETAILS") {
    card.open = true;
    card.scrollIntoView();
  }
}

function draw() {
  document.getElementById("version").textContent = api.info.version;
  const about = document.getElementById("about");
  about.append(el("h1.hidden", {}, "nowait API"), el("p.lead", {}, api.info.summary), ...prose(api.info.description));
  const main = document.getElementById("main");
  const nav = document.getElementById("nav");
  for (const tag of api.tags) {
    const section = el("section", { "aria-label": tag.name }, el("h2", {}, tag.name), el("p", {}, inline(tag.description)));
    const list = el("ul");
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of ["get", "post", "put", "patch", "delete"]) {
        const operation = item[method];
        if (!operation || operation.tags[0] !== tag.name) continue;
        section.append(operationView(method, path, operation, item.parameters));
        list.append(el("li", {}, el("a", { href: `#${operation.operationId}`, title: operation.summary, onclick: () => setTimeout(openFromAddress) },
          el(`span.method.${method}`, {}, method), el("span.path", {}, path))));
      }
    }
    main.append(section);
    nav.append(el("h2", {}, tag.name), list);
  }
  if (!location.hash) main.querySelector(".op").open = true;
  openFromAddress();
}

document.getElementById("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const root = document.documentElement.style;
  root.colorScheme = (root.colorScheme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
});
addEventListener("hashchange", openFromAddress);
fetch(new URL("openapi.json", base)).then((response) => response.json()).then((description) => {
  api = description;
  draw();
  document.getElementById("loading").remove();
}).catch((error) => {
  document.getElementById("loading").textContent = `The description could not be read: ${error.message}`;
});
