/** Text on its way into a page. */

/** For element content and quoted attributes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** The same for sentences: a number is not parted from the unit after it or from the radius it belongs to. */
export function prose(text: string): string {
  return escapeHtml(
    text.replaceAll(/(\d) (%|s\b)/g, "$1\u00a0$2").replaceAll(/(ρ\w*( =)?) (?=\d)/g, "$1\u00a0"),
  );
}

/** JSON for a `<script type="application/json">`: nothing in it can end the element. */
export function inlineJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

/** JavaScript for a `<script>`: the two sequences that would change how the page is parsed are broken up. */
export function inlineScript(source: string): string {
  return source.replaceAll(/<\/(script)/gi, "<\\/$1").replaceAll("<!--", "<\\!--");
}
