// Adds the reader's own time to every time that is given in UTC.
"use strict";
for (const element of document.querySelectorAll("time[datetime]")) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime()) || at.getTimezoneOffset() === 0) continue;
  const local = at.toLocaleString(document.documentElement.lang, {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
    second: "exact" in element.dataset ? "2-digit" : undefined,
  });
  element.title = element.textContent;
  element.textContent = `${local} (${element.textContent})`;
}
