// What the dashboard does in the browser: it follows links without loading the page anew, puts what is chosen into
// the address, applies the server's changes, and keeps focus, folds and zoom where they are.
(function () {
  'use strict';

  var theme = window.rcsweepTheme;
  var numThemeClicks = 0;
  var answered = { at: Date.now(), looked: 0, live: true };
  var shownPath = null;

  // Addresses -------------------------------------------------------------------------------------------------

  function go(address, keepsScroll) {
    window.history.pushState({}, '', address);
    // The event by which Dash's own links tell dcc.Location.
    window.dispatchEvent(new CustomEvent('_dashprivate_pushstate'));
    if (!keepsScroll) window.scrollTo(0, 0);
  }

  document.addEventListener('click', function (event) {
    var link = event.target.closest ? event.target.closest('a[href]') : null;
    if (!link || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.hasAttribute('download') || link.target || link.origin !== window.location.origin) return;
    if (link.getAttribute('href').charAt(0) === '#') {
      event.preventDefault();
      var target = document.getElementById(link.getAttribute('href').slice(1));
      if (target) target.focus();
      return;
    }
    event.preventDefault();
    go(link.href, link.dataset.keep === 'scroll' || link.id === 'pause');
  });

  // A select sets what its name says; other filters stay, the page of a list begins anew.
  document.addEventListener('change', function (event) {
    var select = event.target;
    if (!select.matches || !select.matches('form.controls select')) return;
    var query = new URLSearchParams(window.location.search);
    if (select.value) query.set(select.name, select.value); else query.delete(select.name);
    query.delete('page');
    var text = query.toString().replace(/%2C/g, ',');
    go(window.location.pathname + (text ? '?' + text : ''), true);
  });
  document.addEventListener('submit', function (event) { event.preventDefault(); });

  // Focus and folds: where a refresh replaces the element that has them, its successor gets them. -----------------

  var lastFocus = null, openFolds = new Set();

  function successor(old) {
    if (old.id) return document.getElementById(old.id);
    if (!old.href) return null;
    return Array.from(document.querySelectorAll('#page a')).find(function (link) { return link.href === old.href; });
  }

  document.addEventListener('focusin', function (event) {
    lastFocus = { element: event.target, id: event.target.id, href: event.target.href };
  });
  document.addEventListener('toggle', function (event) {
    if (!event.target.id) return;
    if (event.target.open) openFolds.add(event.target.id); else openFolds.delete(event.target.id);
  }, true);

  function keepPlace() {
    openFolds.forEach(function (id) {
      var fold = document.getElementById(id);
      if (fold && !fold.open) fold.open = true;
    });
    if (!lastFocus || lastFocus.element.isConnected || document.activeElement !== document.body) return;
    var next = successor(lastFocus);
    if (next) next.focus({ preventScroll: true });
  }

  document.addEventListener('DOMContentLoaded', function () {
    new MutationObserver(function () {
      window.rcsweepStatic();
      keepPlace();
    }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-tree'] });
  });

  // Zoom: Dash redraws a figure after the reader has zoomed, and plotly.js then takes the new ranges for the figure's
  // own, in spite of its uirevision. So ranges that are not those that the server sent go into the next figure.

  var sentRanges = {};

  function axesOf(layout) {
    return Object.keys(layout || {}).filter(function (key) { return /^[xy]axis[0-9]*$/.test(key); });
  }

  function noteRanges(id, figure) {
    sentRanges[id] = {};
    axesOf(figure.layout).forEach(function (axis) {
      sentRanges[id][axis] = JSON.stringify(figure.layout[axis].range || null);
    });
  }

  function noteFigures(node) {
    if (Array.isArray(node)) { node.forEach(noteFigures); return; }
    if (!node || !node.props) return;
    if (node.type === 'Graph') noteRanges(node.props.id, node.props.figure);
    noteFigures(node.props.children);
  }

  function keepZoom(id, figure) {
    var plot = document.querySelector('#' + id + ' .js-plotly-plot'), sent = sentRanges[id];
    var old = plot && plot.layout;
    noteRanges(id, figure);
    if (!old || !sent || old.uirevision !== figure.layout.uirevision) return;
    axesOf(figure.layout).forEach(function (axis) {
      var now = old[axis];
      if (!now || !now.range) return;
      var isZoomed = sent[axis] === 'null' ? now.autorange === false : JSON.stringify(now.range) !== sent[axis];
      if (isZoomed) figure.layout[axis] = Object.assign({}, figure.layout[axis], { range: now.range, autorange: false });
    });
  }

  // Time and mode ---------------------------------------------------------------------------------------------

  function clock(seconds) { return new Date(seconds * 1000).toLocaleTimeString('en-GB'); }

  function setText(id, text) {
    var element = document.getElementById(id);
    if (element && element.textContent !== text) element.textContent = text;
  }

  function showTime() {
    var isSilent = answered.live && Date.now() - answered.at > 45000;
    var text = isSilent ? 'no answer since ' + clock(answered.at / 1000)
      : answered.looked ? 'updated ' + clock(answered.looked) : '';
    setText('looked', text);
  }
  window.setInterval(showTime, 1000);

  function showMode() { setText('theme', theme.isDark() ? 'Light' : 'Dark'); }

  theme.system.addEventListener('change', function () {
    theme.show();
    showMode();
    if (window.dash_clientside.set_props) window.dash_clientside.set_props('system-mode', { data: Date.now() });
  });

  // What Dash calls -------------------------------------------------------------------------------------------

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.rcsweep = {
    view: function (path, search, numClicks) {
      if (numClicks && numClicks !== numThemeClicks) {
        numThemeClicks = numClicks;
        theme.toggle();
      }
      showMode();
      return { path: path || '/', search: search || '', dark: theme.isDark() };
    },

    // The server's changes are relative to what it was told is shown; see analysis/dashboard/changes.py.
    apply: function (answer) {
      var setProps = window.dash_clientside.set_props;
      answer.changes.forEach(function (change) {
        if (!document.getElementById(change[0])) return;
        if (change[1].figure) keepZoom(change[0], change[1].figure);
        noteFigures(change[1].children);
        setProps(change[0], change[1]);
      });
      setProps('tick', { disabled: !answer.live });
      document.title = answer.title;
      answered = { at: Date.now(), looked: answer.looked, live: answer.live };
      showTime();
      if (shownPath !== answer.path) {
        openFolds.clear();
        // On narrow pages the navigation scrolls sideways.
        window.setTimeout(function () {
          var here = document.querySelector('#nav [aria-current]');
          if (here) here.scrollIntoView({ block: 'nearest', inline: 'center' });
        }, 0);
        if (shownPath !== null) window.setTimeout(function () {
          var heading = document.querySelector('#page h1');
          if (heading) heading.focus({ preventScroll: true });
        }, 0);
      }
      shownPath = answer.path;
      return answer.shown;
    },

    // A square of the heatmap leads to its trials; the axes' labels are the levels.
    openTrials: function (clicked) {
      var nothing = window.dash_clientside.no_update;
      if (!clicked || !clicked.points || !clicked.points.length) return nothing;
      var plot = document.querySelector('#graph-heatmap .js-plotly-plot');
      var layout = plot && plot.layout;
      var point = clicked.points[0];
      if (!layout || !layout.yaxis.ticktext) return nothing;
      var p = layout.yaxis.ticktext[Math.round(point.y)], S = layout.xaxis.ticktext[Math.round(point.x)];
      if (p === undefined || S === undefined) return nothing;
      var query = new URLSearchParams(window.location.search);
      Array.from(query.keys()).forEach(function (key) { if (key.indexOf('.') >= 0) query.delete(key); });
      query.set('p', p);
      query.set('S', S);
      go(window.location.pathname.replace(/\/grid$/, '/trials') + '?' + query.toString());
      return null;  // so that the same square can be chosen again
    },
  };
})();
