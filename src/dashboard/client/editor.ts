/** Turns the code field into an editor. Without this script, it is a plain text field that works too. */
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { javascriptLanguage } from "@codemirror/lang-javascript";
import {
  bracketMatching,
  defaultHighlightStyle,
  indentOnInput,
  syntaxHighlighting,
} from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";

const field = document.querySelector<HTMLTextAreaElement>("textarea#code");
const form = field?.form;

if (field !== null && form !== null && form !== undefined) {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
  const view = new EditorView({
    doc: field.value,
    extensions: [
      EditorView.cspNonce.of(nonce),
      lineNumbers(),
      history(),
      drawSelection(),
      indentOnInput(),
      bracketMatching(),
      highlightActiveLine(),
      javascriptLanguage,
      syntaxHighlighting(defaultHighlightStyle, { fallback: true }),
      EditorState.tabSize.of(2),
      keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": "Code", tabindex: "0" }),
    ],
  });
  field.hidden = true;
  field.before(view.dom);
  document.querySelector('label[for="code"]')?.addEventListener("click", () => view.focus());
  form.addEventListener("submit", () => {
    field.value = view.state.doc.toString();
  });
}
