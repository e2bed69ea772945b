// The mode of the page, before anything is painted: what the switch said last, else the system's.
window.rcsweepTheme = (function () {
  var system = window.matchMedia('(prefers-color-scheme: dark)');
  function asked() {
    try { return window.localStorage.getItem('rcsweep-theme'); } catch (error) { return null; }
  }
  function isDark() { return asked() ? asked() === 'dark' : system.matches; }
  function show() { document.documentElement.classList.toggle('dark', isDark()); }
  function toggle() {
    var next = isDark() ? 'light' : 'dark';
    // What the system says needs no note: the page goes on following it.
    try {
      if ((next === 'dark') === system.matches) window.localStorage.removeItem('rcsweep-theme');
      else window.localStorage.setItem('rcsweep-theme', next);
    } catch (error) { /* private windows keep nothing */ }
    show();
  }
  show();
  return { isDark: isDark, toggle: toggle, show: show, system: system };
})();
