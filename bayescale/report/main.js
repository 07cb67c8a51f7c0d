"use strict";
const given = JSON.parse(document.getElementById("content").textContent);
charts.start(given.pictures);
if (given.planner.laws) planner.start(given.planner);
