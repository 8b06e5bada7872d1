"use strict";
// Moves the budget: N, D and losses follow, along lines in logarithms between budgets that were
// computed beforehand. Without it the table below the control says the same.
(() => {
  const grid = JSON.parse(document.getElementById("budget-data").textContent);
  const slider = document.getElementById("budget");
  const said = document.getElementById("budget-said");
  const logs = grid.budget.map(Math.log);
  const first = logs[0], last = logs[logs.length - 1];

  function scientific(x, digits) {
    const [mantissa, power] = x.toExponential(digits - 1).split("e");
    const short = mantissa.includes(".") ? mantissa.replace(/0+$/, "").replace(/\.$/, "") : mantissa;
    return `${short}e${Number(power)}`;
  }

  function number(x, digits) {
    if (x === 0) return "0";
    const magnitude = Number(x.toExponential(digits - 1).split("e")[1]);
    if (magnitude < -4 || magnitude >= 7) return scientific(x, digits);
    const [whole, part] = x.toFixed(Math.max(0, digits - 1 - magnitude)).split(".");
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    return part === undefined ? grouped : `${grouped}.${part}`;
  }

  function count(x, digits) {
    const rounded = Number(x.toExponential(digits - 1));
    for (const [scale, suffix] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]]) {
      if (rounded < scale) continue;
      return rounded / scale >= 1e4 ? scientific(x, digits) : number(rounded / scale, digits) + suffix;
    }
    return number(rounded, digits);
  }

  function spent(x) {
    if (grid.unit === "FLOP") return `${scientific(x, 3)} FLOP`;
    return grid.unit.length === 1 ? grid.unit + count(x, 3) : `${count(x, 3)} ${grid.unit}`;
  }

  const styles = {
    n_opt: (x) => count(x, 3), d_opt: (x) => count(x, 3), tokens_per_param: (x) => number(x, 3),
    loss_plan: (x) => number(x, 4), loss_run: (x) => number(x, 4),
  };

  // Returns the value at a log budget, or null where a neighbour has none.
  function at(values, x, on = Math.log, back = Math.exp) {
    let i = 0;
    while (i < logs.length - 2 && logs[i + 1] <= x) i++;
    const share = (x - logs[i]) / (logs[i + 1] - logs[i]);
    if (share === 0) return values[i];
    if (share === 1) return values[i + 1];
    if (values[i] === null || values[i + 1] === null) return null;
    return back(on(values[i]) + share * (on(values[i + 1]) - on(values[i])));
  }

  function show(x, budget) {
    for (const cell of document.querySelectorAll("[data-quantity]")) {
      const name = cell.dataset.quantity;
      const ends = cell.dataset.levels.split(" ").map((i) => at(grid[name][Number(i)], x));
      cell.textContent = ends.includes(null) ? "no optimum" : ends.map(styles[name]).join(" to ");
    }
    const plan = ["n_opt", "d_opt"].map((name) => {
      const middle = at(grid[name][Number(slider.dataset.middle)], x);
      return middle === null ? "no optimum" : count(middle, 3);
    });
    const lost = at(grid.no_optimum, x, (y) => y, (y) => y);
    const times = at(grid.times_largest, x);
    said.textContent = `${spent(budget)}` +
      (times === null ? ": " : `, ${number(times, 2)} times the largest run: `) +
      `${plan[0]} parameters on ${plan[1]} tokens` +
      (lost > 0 ? `; ${number(100 * lost, 2)} % of the draws have no optimum there` : "") + ".";
    slider.setAttribute("aria-valuetext", said.textContent);
  }

  function move() {
    const x = first + (last - first) * Number(slider.value) / Number(slider.max);
    show(x, Math.exp(x));
  }

  function go(budget) {
    const i = grid.budget.indexOf(budget);
    slider.value = String(Math.round(Number(slider.max) * (logs[i] - first) / (last - first)));
    show(logs[i], budget);
  }

  slider.addEventListener("input", move);
  for (const button of document.querySelectorAll("[data-asked]")) {
    button.addEventListener("click", () => go(grid.asked[Number(button.dataset.asked)]));
  }
  document.getElementById("budget-control").hidden = false;
  document.getElementById("budget-listed").open = false;
  go(grid.asked[0]);
})();
