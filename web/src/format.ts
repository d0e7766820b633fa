/** How values are written. Money comes in dollars, percents in points, times in UTC or New York wall clock. */

const UNITS: readonly [number, string][] = [
  [1e9, "B"],
  [1e6, "M"],
  [1e3, "K"],
];
const MISSING = "–";

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * Three significant digits, half up as the number is written: 1.075 is 1.08, though what the machine holds of it is a
 * little less and `toPrecision` makes 1.07 of that.
 */
function significant(size: number): number {
  if (size === 0) return 0;
  const exponent = Math.floor(Math.log10(size)) - 2;
  return Number(`${Math.round(Number((size / 10 ** exponent).toPrecision(15)))}e${exponent}`);
}

/** Dollars in three significant digits: $987, $12.4K, $1.23M. */
export function premium(value: unknown): string {
  if (!isNumber(value)) return MISSING;
  const size = significant(Math.abs(value));
  const sign = value < 0 ? "−" : "";
  for (const [unit, letter] of UNITS) {
    if (size >= unit) return `${sign}$${(size / unit).toPrecision(3)}${letter}`;
  }
  return `${sign}$${size}`;
}

const EVERY_DIGIT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 20 });

/** Dollars as short as they can be without rounding: $250K, $1.5M, $1,234,567. */
export function brief(value: number): string {
  const size = Math.abs(value);
  const short = size >= 1000 && significant(size) === size;
  const text = short ? premium(size).replace(/(\.\d*?)0+(?=[KMB]$)/, "$1").replace(/\.(?=[KMB]$)/, "") : `$${EVERY_DIGIT.format(size)}`;
  return `${value < 0 ? "−" : ""}${text}`;
}

/** A number with all its digits. */
export function whole(value: number): string {
  return EVERY_DIGIT.format(value);
}

const EXACT = new Intl.NumberFormat("en-US", {
  style: "currency",
  currency: "USD",
  minimumFractionDigits: 2,
  maximumFractionDigits: 4,
});
export function exact(value: unknown): string {
  return isNumber(value) ? EXACT.format(value) : "unknown";
}

const PRICE = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
export function price(value: unknown): string {
  return isNumber(value) ? PRICE.format(value) : MISSING;
}

const STRIKE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 4 });
export function strike(value: unknown): string {
  return isNumber(value) ? STRIKE.format(value) : MISSING;
}

const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
export function count(value: unknown): string {
  return isNumber(value) ? COUNT.format(value) : MISSING;
}

export function percent(value: unknown): string {
  if (!isNumber(value)) return MISSING;
  const size = Math.abs(value);
  const text = size >= 1000 ? COUNT.format(size) : size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
  return `${value < 0 ? "−" : value > 0 ? "+" : ""}${text}%`;
}

export function ratio(value: unknown): string {
  if (!isNumber(value)) return MISSING;
  return value >= 1000 ? COUNT.format(value) : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** `HH:MM:SS.mmm` of a New York wall clock given as ISO text or as milliseconds on that clock. */
export function clock(value: unknown): string {
  if (isNumber(value)) return new Date(value).toISOString().slice(11, 23);
  if (typeof value !== "string") return "";
  const time = /T(\d\d:\d\d:\d\d)(?:\.(\d{1,3}))?/.exec(value);
  return time ? `${time[1]}.${(time[2] ?? "").padEnd(3, "0")}` : "";
}

const DAY_AND_TIME = new Intl.DateTimeFormat("en-US", {
  timeZone: "America/New_York",
  month: "short",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/** `Sep 18, 09:30:25` in New York, of an instant as ISO text. */
export function instant(value: unknown): string {
  const at = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(at) ? "" : DAY_AND_TIME.format(at);
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `YYYY-MM-DD` of a date given so, or as the integer YYYYMMDD. */
export function isoDate(value: unknown): string {
  const text = isNumber(value) ? String(value) : typeof value === "string" ? value : "";
  return /^\d{8}$/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text;
}

/** `Jan 16`. */
export function day(value: unknown): string {
  const match = /^\d{4}-(\d\d)-(\d\d)/.exec(isoDate(value));
  return match ? `${MONTHS[Number(match[1]) - 1] ?? "?"} ${match[2]}` : "";
}

/** `Jan 16 ’26`. */
export function expiry(value: unknown): string {
  const match = /^(\d{4})-(\d\d)-(\d\d)/.exec(isoDate(value));
  if (!match) return MISSING;
  return `${MONTHS[Number(match[2]) - 1] ?? "?"} ${match[3]} ’${(match[1] ?? "").slice(2)}`;
}

/** A field's name for people: `quote_ts_utc` → `Quote time UTC`. */
export function words(name: string): string {
  const text = name
    .replaceAll("_", " ")
    .replace(/\bts (utc|et)$/, "time $1")
    .replace(/\b(utc|et|oi|iso|pct|dte)\b/g, (word) => (word === "pct" ? "%" : word.toUpperCase()));
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Any value of a catalog type, in full. */
export function full(value: unknown, type: string): string {
  if (value === null || value === undefined) return "unknown";
  if (Array.isArray(value)) return value.length ? value.join(", ") : "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (type === "money") return exact(value);
  if (type === "percent" && isNumber(value)) return `${Number(value.toFixed(4))}%`;
  if (type === "ratio" && isNumber(value)) return String(Number(value.toFixed(6)));
  if (type === "date") return isoDate(value);
  if (type === "ts" && isNumber(value)) return new Date(value).toISOString();
  if (type === "duration" && isNumber(value)) return `${COUNT.format(value)} ms`;
  return String(value);
}
