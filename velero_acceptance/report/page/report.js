"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  const criteria = all(".criterion");
  const DAY = 86400, OLD = 30 * DAY;

  // How old the evidence is, as of now.
  const age = (seconds) => {
    for (const [size, name] of [[DAY, "day"], [3600, "hour"], [60, "minute"]]) {
      const count = Math.floor(seconds / size);
      if (count >= 1) return `${count} ${name}${count === 1 ? "" : "s"} old`;
    }
    return "just now";
  };
  for (const time of all("time[data-age]")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    if (seconds < 0) continue;
    time.textContent = `${age(seconds)} (${time.textContent.trim()})`;
  }
  const finished = document.querySelector(".facts time");
  document.querySelector("[data-old]").hidden = (Date.now() - Date.parse(finished.dateTime)) / 1000 < OLD;

  // The theme: the system's, light or dark, remembered where that is possible.
  const THEMES = ["auto", "light", "dark"];
  const button = one("theme");
  let theme = "auto";
  try { theme = localStorage.getItem("theme") || "auto"; } catch { /* a file without storage */ }
  const show = () => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { localStorage.setItem("theme", theme); } catch { /* as above */ }
    show();
  });
  show();

  // Filters: text, requirement, verdicts. What is shown must fit all of them.
  const find = one("find"), requirement = one("requirement"), chips = all(".chip");
  const texts = new Map(criteria.map((row) => [row, row.textContent.toLowerCase()]));
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = chips.filter((chip) => chip.ariaPressed === "true").map((chip) => chip.dataset.verdict);
    let shown = 0;
    for (const section of all(".requirement")) {
      let some = false;
      for (const row of all(".criterion", section)) {
        const fits = (!requirement.value || section.dataset.requirement === requirement.value)
          && (!verdicts.length || verdicts.includes(row.dataset.verdict))
          && words.every((word) => texts.get(row).includes(word));
        row.hidden = !fits;
        some ||= fits;
        shown += fits;
      }
      section.hidden = !some;
    }
    one("shown").textContent = `${shown} of ${criteria.length} criteria`;
    one("none").hidden = shown > 0;
  };
  const clear = () => {
    find.value = requirement.value = "";
    for (const chip of chips) chip.ariaPressed = "false";
    filter();
  };
  find.addEventListener("input", filter);
  requirement.addEventListener("change", filter);
  for (const chip of chips) chip.addEventListener("click", () => {
    chip.ariaPressed = String(chip.ariaPressed !== "true");
    filter();
  });
  one("clear").addEventListener("click", () => { clear(); find.focus(); });
  document.querySelector(".filters").hidden = false;
  filter();

  one("unfold").addEventListener("click", ({ currentTarget: button }) => {
    const open = button.ariaPressed !== "true";
    button.ariaPressed = String(open);
    button.textContent = open ? "Fold all" : "Unfold all";
    for (const row of criteria) row.open = open;
  });

  // A link to a criterion unfolds it, and shows it whatever is filtered.
  const follow = () => {
    const target = location.hash && one(decodeURIComponent(location.hash.slice(1)));
    if (!(target instanceof HTMLDetailsElement)) return;
    if (target.hidden) clear();
    target.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (link && link.hash === location.hash) follow();
  });
  follow();

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      find.focus();
    } else if (event.key === "Escape" && event.target === find) {
      clear();
    }
  });

  // On paper: what is not green is unfolded, and whatever the reader unfolded, with all that is in it.
  let folded = [];
  addEventListener("beforeprint", () => {
    const wanted = criteria.filter((row) => row.open || row.dataset.attention);
    folded = [...wanted, ...wanted.flatMap((row) => all("details", row))].filter((details) => !details.open);
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of folded) details.open = false; });
})();
