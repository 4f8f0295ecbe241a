// The texts whose contrast with what is behind them is below 4.5 (3 where the text is large), as far as both are plain.
const numbers = (color) => color.match(/[\d.]+/g).map(Number);
const light = (color) => {
  const [r, g, b] = numbers(color).map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if ((numbers(color)[3] ?? 1) > 0) return color;
  }
  return "rgb(255, 255, 255)";
};
const found = new Set();
for (const element of document.body.querySelectorAll("*")) {
  const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (!own || !element.checkVisibility({ visibilityProperty: true })) continue;
  const style = getComputedStyle(element);
  const [text, back] = [light(style.color), light(behind(element))];
  const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
  const needed = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
  if (ratio < needed) found.add(`${element.tagName}.${element.className}: ${ratio.toFixed(2)} to 1`);
}
return [...found];
