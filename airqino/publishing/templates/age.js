// The page tells its own age by the reader's clock, so that a page which is no longer rewritten says so.
(function () {
  var d = document, words = WORDS, age = d.getElementById("age"), told = d.getElementById("ago");
  var hours = Math.floor((Date.now() - Date.parse("HOUR_END")) / 36e5);
  if (hours < STALE_HOURS) {
    if (hours >= -1) told.textContent = words[0];
    return;
  }
  age.className = "old";
  age.setAttribute("role", "alert");
  d.body.className = "stale";
  told.textContent = (hours < 48 ? words[1].replace("#", hours) : words[2].replace("#", Math.floor(hours / 24))) + " " + words[3];
})()
