// A button that copies the address of the page as the browser has it: all that is chosen is in it as plain words.

export default function ({ parentElement }) {
  const button = parentElement.querySelector("button"), said = parentElement.querySelector("span");
  const field = parentElement.querySelector("input");
  button.onclick = async () => {
    clearTimeout(button.later);
    try {
      await navigator.clipboard.writeText(location.href);
      said.textContent = "Copied";
    } catch { // a browser lets nobody near its clipboard without https: the address is shown, selected
      field.hidden = false;
      field.value = location.href;
      field.select();
      said.textContent = "Copy it from here";
    }
    button.later = setTimeout(() => { said.textContent = ""; }, 4000);
  };
  return () => clearTimeout(button.later);
}
