// Comfort only: the page says everything without this.
(() => {
  const steps = document.getElementById("steps");
  const all = () => steps.querySelectorAll("details");
  const tools = document.createElement("div");
  tools.className = "tools";
  const filter = document.createElement("input");
  filter.type = "search";
  filter.placeholder = "Show only objects with this text";
  filter.setAttribute("aria-label", filter.placeholder);
  const button = (text, open) => {
    const made = document.createElement("button");
    made.textContent = text;
    made.onclick = () => all().forEach((each) => { each.open = open || each.classList.contains("step"); });
    return made;
  };
  filter.oninput = () => {
    const wanted = filter.value.toLowerCase();
    steps.querySelectorAll("details.item").forEach((item) => {
      item.hidden = wanted !== "" && !item.textContent.toLowerCase().includes(wanted);
    });
    steps.querySelectorAll("details.all").forEach((list) => { if (wanted !== "") list.open = true; });
  };
  tools.append(filter, button("Open all", true), button("Close all", false));
  steps.querySelector("h2").after(tools);
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
})();
