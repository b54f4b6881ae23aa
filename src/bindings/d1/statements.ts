/** Splits SQL text into statements, as SQLite's shell does (https://www.sqlite.org/c3ref/complete.html). Pure. */

/** Spaces, comments, quoted text and names (to their end or the text's), words, semicolons; then any other character. */
const TOKEN =
  /(?<space>\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<quoted>'[^']*(?:'|$)|"[^"]*(?:"|$)|`[^`]*(?:`|$)|\[[^\]]*(?:\]|$))|(?<word>[\p{L}\p{N}_$]+)|(?<end>;)|./gsu;

/** The beginning of a statement whose body may contain semicolons. */
const TRIGGER = /^(EXPLAIN (QUERY PLAN )?)?CREATE (TEMP |TEMPORARY )?TRIGGER$/;
/** Words at the beginning of a statement that show whether it creates a trigger. */
const TRIGGER_WORDS = 6;

/** The statements of a text, without the semicolons that end them. Empty ones are left out. */
export function statementsOf(sql: string): string[] {
  const statements: string[] = [];
  let start = 0;
  let words: string[] = [];
  let isTrigger = false;
  let isEmpty = true;
  /** The last token that is not a space, in upper case, and the one before it. */
  let last = "";
  let beforeLast = "";
  const finish = (end: number) => {
    if (!isEmpty) statements.push(sql.slice(start, end).trim());
    start = end + 1;
    words = [];
    isTrigger = false;
    isEmpty = true;
  };
  for (const { 0: token, index, groups } of sql.matchAll(TOKEN)) {
    if (groups?.space !== undefined) continue;
    if (token === ";" && (!isTrigger || (last === "END" && beforeLast === ";"))) {
      finish(index);
    } else {
      isEmpty = false;
      if (words.length < TRIGGER_WORDS && groups?.word !== undefined) {
        words.push(token.toUpperCase());
        isTrigger ||= TRIGGER.test(words.join(" "));
      }
    }
    beforeLast = last;
    last = token.toUpperCase();
  }
  finish(sql.length);
  return statements;
}
