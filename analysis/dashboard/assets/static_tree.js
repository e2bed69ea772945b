// Builds what analysis/dashboard/static_tree.py sends in data-tree, and changes what is there when it changes:
// elements that stay keep the focus.
(function () {
  'use strict';

  var TAGS = ['A', 'Br', 'Code', 'Small', 'Span', 'Strong', 'Table', 'Tbody', 'Td', 'Th', 'Thead', 'Tr'];
  var ATTRIBUTES = { className: 'class', colSpan: 'colspan', download: 'download', href: 'href', id: 'id', scope: 'scope',
    title: 'title' };

  function nameOf(attribute) {
    return /^(aria|data)-[a-z]+$/.test(attribute) ? attribute : ATTRIBUTES[attribute];
  }

  function setAttributes(element, wanted) {
    var names = {};
    Object.keys(wanted).forEach(function (key) {
      var name = nameOf(key), value = String(wanted[key]);
      // Links lead to pages of this server: a path, and not the start of another host.
      if (!name || wanted[key] === null || (name === 'href' && !/^\/(?![\/\\])/.test(value))) return;
      names[name] = true;
      if (element.getAttribute(name) !== value) element.setAttribute(name, value);
    });
    Array.from(element.attributes).forEach(function (attribute) {
      if (!names[attribute.name]) element.removeAttribute(attribute.name);
    });
  }

  function fill(parent, nodes) {
    nodes.forEach(function (node, place) {
      var old = parent.childNodes[place];
      if (typeof node === 'string') {
        if (old && old.nodeType === Node.TEXT_NODE) {
          if (old.data !== node) old.data = node;
        } else {
          var text = document.createTextNode(node);
          if (old) parent.replaceChild(text, old); else parent.appendChild(text);
        }
        return;
      }
      if (TAGS.indexOf(node.tag) < 0) throw new Error('static_tree: no element ' + node.tag);
      var element = old;
      if (!old || old.nodeName !== node.tag.toUpperCase()) {
        element = document.createElement(node.tag);
        if (old) parent.replaceChild(element, old); else parent.appendChild(element);
      }
      setAttributes(element, node.attributes);
      fill(element, node.children);
    });
    while (parent.childNodes.length > nodes.length) parent.removeChild(parent.lastChild);
  }

  window.rcsweepStatic = function () {
    document.querySelectorAll('[data-tree]').forEach(function (place) {
      if (place.rcsweepTree === place.dataset.tree) return;
      place.rcsweepTree = place.dataset.tree;
      fill(place, [JSON.parse(place.dataset.tree)]);
    });
  };
})();
