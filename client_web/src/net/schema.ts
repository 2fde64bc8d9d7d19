/** Checks that turn an unknown value into a typed one, or say what was expected. */

interface Check<T> {
  readonly expected: string;
  accepts(value: unknown): value is T;
}

class Optional<T> {
  constructor(readonly check: Check<T>) {}
}

type Fields = Record<string, Check<unknown> | Optional<unknown>>;
type RequiredKeys<F> = { [K in keyof F]: F[K] extends Optional<unknown> ? never : K }[keyof F];
type OptionalKeys<F> = { [K in keyof F]: F[K] extends Optional<unknown> ? K : never }[keyof F];
type Value<C> = C extends Check<infer T> ? T : C extends Optional<infer T> ? T : never;

/** The type of a map with these fields. */
export type MapOf<F> = { [K in RequiredKeys<F>]: Value<F[K]> } & { [K in OptionalKeys<F>]?: Value<F[K]> };

function check<T>(expected: string, accepts: (value: unknown) => boolean): Check<T> {
  return { expected, accepts: accepts as (value: unknown) => value is T };
}

export const string = check<string>("a string", (value) => typeof value === "string");
export const bool = check<boolean>("true or false", (value) => typeof value === "boolean");
export const number = check<number>("a finite number", Number.isFinite);
export const integer = check<number>("an integer", Number.isSafeInteger);
export const bytes = check<Uint8Array<ArrayBuffer>>("bytes", (value) => value instanceof Uint8Array);

export const optional = <T>(inner: Check<T>): Optional<T> => new Optional(inner);

export const orNull = <T>(inner: Check<T>): Check<T | null> =>
  check(`${inner.expected} or nil`, (value) => value === null || inner.accepts(value));

export const list = <T>(item: Check<T>): Check<T[]> =>
  check(`a list, each ${item.expected}`, (value) => Array.isArray(value) && value.every(item.accepts));

export const numbersByName = check<Record<string, number>>(
  "a map of numbers",
  (value) => isMap(value) && Object.values(value).every(Number.isFinite),
);

export const map = <F extends Fields>(fields: F): Check<MapOf<F>> =>
  check("a map", (value) => isMap(value) && firstProblem(value, fields) === null);

export function isMap(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  );
}

/** The first field that is missing or of the wrong type, in words; null when all are right. */
export function firstProblem(value: Record<string, unknown>, fields: Fields): string | null {
  for (const [name, field] of Object.entries(fields)) {
    const inner = field instanceof Optional ? field.check : field;
    if (field instanceof Optional && value[name] === undefined) continue;
    if (!inner.accepts(value[name])) return `${name}: expected ${inner.expected}`;
  }
  return null;
}
