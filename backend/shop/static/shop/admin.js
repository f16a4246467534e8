// Names for those who hear a page instead of seeing it, where Django's markup has none.
"use strict";

const nameOf = (input) => {
    if (input.labels?.length) return input.labels[0].textContent.trim();
    const cell = input.closest("td");
    return cell?.closest("table").tHead?.rows[0].cells[cell.cellIndex]?.textContent.trim();
};

const nameInputs = (root) => {
    for (const input of root.querySelectorAll("td :is(input, select, textarea):not([type=hidden], [aria-label])")) {
        const name = nameOf(input);
        if (!input.labels.length && name) input.ariaLabel = name;
    }
    for (const input of root.querySelectorAll(".datetime input")) {
        input.ariaLabel = input.previousSibling.textContent.trim();
    }
};

const nameSelects = (root) => {
    for (const select of root.querySelectorAll("select.admin-autocomplete")) {
        const shown = select.parentElement.querySelector(".select2-selection__rendered");
        shown?.setAttribute("aria-label", nameOf(select));
    }
};

document.addEventListener("formset:added", (event) => {
    nameInputs(event.target);
    nameSelects(event.target);
});
nameInputs(document);
window.django?.jQuery(() => nameSelects(document)); // Django makes them in such a callback, too
document.getElementById("searchbar")?.setAttribute("aria-label", "Search");
for (const header of document.querySelectorAll("th.original")) {
    header.innerHTML = '<span class="visually-hidden">Line</span>';
}
// Above the boxes that delete a line, where the user may delete none.
for (const header of document.querySelectorAll("thead th:empty")) {
    header.replaceWith(document.createElement("td"));
}
