"""What the page does in the browser: draws figures, in either mode and on paper, follows controls.

Figures are drawn when the page is laid out, so that every plot knows its width; the paper's width is another.
`darkened` is `analysis.figures.theme.darkened` with the same table of colours.
"""

from __future__ import annotations

import json

from analysis.figures.theme import dark_colors

_PLOTLY_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "showSendToCloud": False,
    "topojsonURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}

SCRIPT = """
var plotlyConfig = PLOTLY_CONFIG;
var darkColors = new Map(Object.entries(DARK_COLORS));
var systemMode = window.matchMedia('(prefers-color-scheme: dark)');
var askedMode = null;  // what the button says, once it is pressed
var isPaper = false;
function isDark() { return askedMode === null ? systemMode.matches : askedMode === 'dark'; }
function each(selector, act, inside) { (inside || document).querySelectorAll(selector).forEach(act); }
function parsed(id) { return JSON.parse(document.getElementById(id).textContent); }

function darkened(value) {
  if (typeof value === 'string') {
    var parts = /^rgba\\((\\d+, \\d+, \\d+), ([\\d.]+)\\)$/.exec(value);
    if (!parts) {  // a colour, or a shadow's, as in 0 0 3px #ffffff
      return darkColors.get(value) || value.replace(/(px )(#[0-9a-f]{6})/g, function (all, unit, color) {
        return unit + (darkColors.get(color) || color);
      });
    }
    var solid = darkColors.get('rgb(' + parts[1] + ')');
    return solid ? solid.replace('rgb(', 'rgba(').replace(')', ', ' + parts[2] + ')') : value;
  }
  if (Array.isArray(value)) return value.map(darkened);
  if (value === null || typeof value !== 'object') return value;
  var result = {};
  for (var key in value) result[key] = key === 'colorscale' ? value[key] : darkened(value[key]);
  return result;
}

function download(name, text) {
  var link = document.createElement('a');
  var address = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(function () { URL.revokeObjectURL(address); }, 10000);
}

// The figure as the controls above it ask for: the first variant, or what another one has in its place.
function chosen(div) {
  var figure = parsed(div.dataset.figure), name = '', block = div.closest('figure');
  each('.switches select', function (select) { name += (name && '|') + select.value; }, block);
  var change = name && parsed(div.dataset.variants)[name];
  if (!change) return figure;
  block.querySelector('figcaption').textContent = change.caption;
  block.querySelector('.plot').setAttribute('aria-label', change.caption);
  each('.numbers', function (numbers, index) { numbers.hidden = index !== (change.table || 0); }, block);
  if (change.data) figure.data = change.data;
  (change.traces || []).forEach(function (trace, index) { Object.assign(figure.data[index], trace); });
  Object.assign(figure.layout, change.layout);
  figure.layout.uirevision = name;
  return figure;
}

function draw(div) {
  var figure = chosen(div);
  if (isDark() && !isPaper) figure = darkened(figure);
  // Plotly.Plots.resize waits a while, printing does not: the width is set outright.
  if (isPaper) figure.layout.width = div.clientWidth; else figure.layout.autosize = true;
  figure.layout.uirevision = figure.layout.uirevision || 'kept';
  Plotly.react(div, figure.data, figure.layout, plotlyConfig);
}

function showMode() {
  document.documentElement.classList.toggle('dark', isDark());
  each('.mode', function (button) { button.textContent = isDark() ? '☀ Light' : '☾ Dark'; });
  each('.drawing', draw);
}
showMode();  // before the body is there: the page never flashes up in the other mode
systemMode.addEventListener('change', showMode);
document.addEventListener('DOMContentLoaded', function () {
  showMode();
  each('.mode', function (button) {
    button.addEventListener('click', function () { askedMode = isDark() ? 'light' : 'dark'; showMode(); });
  });
  each('button.csv', function (button) {
    var data = button.dataset;
    button.addEventListener('click', function () { download(data.file, parsed(data.csv)); });
  });
  each('.switches', function (switches) {
    var div = switches.closest('figure').querySelector('.drawing');
    switches.addEventListener('change', function () { draw(div); });
  });
});
function setPaper(isOn) {
  isPaper = isOn;
  document.body.className = isOn ? 'paper' : '';
  each('.drawing', draw);
}
window.addEventListener('beforeprint', function () { setPaper(true); });
window.addEventListener('afterprint', function () { setPaper(false); });
""".replace("PLOTLY_CONFIG", json.dumps(_PLOTLY_CONFIG)).replace("DARK_COLORS", json.dumps(dark_colors()))
