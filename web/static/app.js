// Makes pages quicker to use. Every one of them works without this file.
"use strict";

document.documentElement.classList.add("has-js");

function announce(sentence) {
  const place = document.getElementById("announce");
  const line = document.createElement("p");
  line.textContent = sentence;
  place.replaceChildren(line);
  setTimeout(() => line.remove(), 6000);
}

// Copy buttons.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    // Without https the clipboard is closed to scripts; the older way still works.
    field.select();
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

// A recipe's switch, without a reload.
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-switch]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("[role=switch]");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
    const said = await answer.json();
    const kept = document.getElementById("kept");
    if (!answer.ok || (said.asks && !kept)) {
      location.assign(said.url);
      return;
    }
    if (kept) {
      // What the page asks now is taken from it anew: the rest holds what was entered.
      const page = await (await fetch(location.href)).text();
      kept.replaceWith(new DOMParser().parseFromString(page, "text/html").getElementById("kept"));
    }
    button.setAttribute("aria-checked", String(said.on));
    button.querySelector(".switch-word").textContent = said.on ? "On" : "Off";
    form.elements.on.value = said.on ? "no" : "yes";
    announce(said.sentence);
  } catch {
    form.submit();
  } finally {
    button.removeAttribute("aria-busy");
  }
});

// Rows: a new one is the last one, emptied.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-add-row]");
  if (!button) return;
  event.preventDefault();
  const rows = document.getElementById(button.dataset.addRow);
  const row = rows.querySelector("[data-row]:last-child").cloneNode(true);
  const number = rows.children.length + 1;
  row.querySelectorAll(".invalid-feedback").forEach((each) => each.remove());
  row.querySelectorAll("input, select").forEach((each) => {
    each.value = "";
    each.classList.remove("is-invalid");
    ["id", "aria-invalid", "aria-describedby", "autofocus"].forEach((name) => each.removeAttribute(name));
    each.setAttribute("aria-label", each.getAttribute("aria-label").replace(/\d+/, number));
  });
  rows.append(row);
  row.querySelectorAll("[data-fact]").forEach(fitOperators);
  row.querySelector("input, select").focus();
});

// A condition offers only the ways to compare that fit its fact.
function fitOperators(fact) {
  const row = fact.closest("[data-row]");
  const operator = row.querySelector("[data-operator]");
  const kind = fact.selectedOptions[0].dataset.kind;
  for (const option of operator.options) {
    option.hidden = option.disabled = Boolean(kind) && !option.dataset.kinds.split(" ").includes(kind);
  }
  if (!operator.selectedOptions.length || operator.selectedOptions[0].disabled) {
    operator.value = [...operator.options].find((option) => !option.disabled).value;
  }
  operator.hidden = !kind;
  row.querySelector("[data-value]").hidden = !kind || "alone" in operator.selectedOptions[0].dataset;
}

// The set-up form of a recipe: preview while typing, choices that follow the connection, facts to put in.
const recipe = document.querySelector("[data-recipe]");
if (recipe) {
  let timer;
  let latest = 0;
  let field = null;

  const send = async (wanted) => {
    const entered = new FormData(recipe);
    entered.set("do", wanted);
    const answer = await fetch(recipe.getAttribute("action") || location.pathname, { method: "POST", body: entered });
    if (!answer.ok) throw new Error(answer.status);
    return answer.text();
  };

  const preview = async () => {
    const number = ++latest;
    try {
      const text = await send("preview");
      if (number === latest) {
        const drawn = new DOMParser().parseFromString(text, "text/html");
        document.getElementById("preview").replaceChildren(...drawn.body.childNodes);
      }
    } catch {
      // The preview stays as it was; saving says what is wrong.
    }
  };
  const previewSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(preview, 400);
  };

  const reload = async (name) => {
    recipe.setAttribute("aria-busy", "true");
    try {
      const drawn = new DOMParser().parseFromString(await send("refresh"), "text/html");
      recipe.replaceChildren(...drawn.querySelector("[data-recipe]").childNodes);
      document.getElementById("preview").replaceChildren(...drawn.getElementById("preview").childNodes);
      recipe.querySelectorAll("[data-fact]").forEach(fitOperators);
      recipe.elements[name]?.focus();
    } catch {
      recipe.querySelector("button[value=refresh]").click();
    } finally {
      recipe.removeAttribute("aria-busy");
    }
  };

  recipe.addEventListener("input", previewSoon);
  recipe.addEventListener("change", (event) => {
    if (event.target.matches("[data-fact]")) fitOperators(event.target);
    if (event.target.matches("[data-operator]")) fitOperators(event.target.closest("[data-row]").querySelector("[data-fact]"));
    if (event.target.matches("[data-reload]")) reload(event.target.name);
  });
  recipe.addEventListener("focusin", (event) => {
    if (event.target.matches("[data-facts]")) field = event.target;
  });
  document.querySelectorAll("[data-insert]").forEach((button) => {
    button.addEventListener("click", () => {
      field = field?.isConnected ? field : recipe.querySelector("[data-facts]");
      if (!field) return;
      field.focus();
      field.setRangeText(button.dataset.insert, field.selectionStart, field.selectionEnd, "end");
      previewSoon();
    });
  });
  recipe.querySelectorAll("[data-fact]").forEach(fitOperators);
}
