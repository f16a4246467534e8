"use strict";
// Marks the lines of an order that want more of a product than there is, before they are saved.
{
    const group = document.getElementById("items-group");

    const cell = (row, name) => row.querySelector(`[name^="items-"][name$="-${name}"]`);
    const initial = (row, name) => row.querySelector(`[name^="initial-"][name$="-${name}"]`)?.value;

    const warn = (row, text) => {
        const quantity = cell(row, "quantity");
        let warning = row.querySelector(".short-of-stock");
        if (!warning && !text) {
            return;
        }
        if (!warning) {
            warning = document.createElement("p");
            warning.className = "short-of-stock";
            warning.setAttribute("role", "alert");
            quantity.after(warning);
        }
        warning.id = `${quantity.id}_stock`;
        if (warning.textContent !== text) {
            warning.textContent = text;
        }
        if (text) {
            quantity.setAttribute("aria-describedby", warning.id);
        } else {
            quantity.removeAttribute("aria-describedby");
        }
    };

    const check = () => {
        const rows = [...group.querySelectorAll("tr.form-row:not(.empty-form)")];
        const lines = rows.filter((row) => cell(row, "product") && cell(row, "quantity"));
        const more = new Map();
        const add = (product, units) => more.set(product, (more.get(product) ?? 0) + units);
        for (const row of lines) {
            // What a line has is out of the stock already.
            add(initial(row, "product"), -initial(row, "quantity") || 0);
            if (!cell(row, "DELETE")?.checked) {
                add(cell(row, "product").value, Number(cell(row, "quantity").value) || 0);
            }
        }
        for (const row of lines) {
            const option = cell(row, "product").selectedOptions[0];
            const missing = more.get(option?.value) - option?.dataset.stock;
            const isShort = missing > 0 && !cell(row, "DELETE")?.checked;
            warn(row, isShort ? `${missing} more than in stock` : "");
        }
    };

    if (group) {
        group.addEventListener("input", check);
        group.addEventListener("change", check);
        document.addEventListener("formset:removed", check);
        django.jQuery(group).on("select2:select", "select", (event) => {
            event.target.selectedOptions[0].dataset.stock = event.params.data.stock;
            check();
        });
        check();
    }
}
