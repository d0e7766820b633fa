/** What the server says can be shown and filtered. Nothing of it is written down in the page. */

export interface Chip {
  id: string;
  label: string;
  aliases: string[];
  group: string;
  doc: string;
  rule: string;
  english: string;
  fields: string[];
  params: Record<string, unknown>;
  rollout: string;
}

export interface Field {
  name: string;
  json: string;
  type: string;
  nullable: boolean;
  doc: string;
  operators: string[];
  enum: string[] | null;
  range: { min: number | string; max: number | string } | null;
  minParam: string | null;
  maxParam: string | null;
  sortable: boolean;
  filterable: boolean;
}

/** The rule version that is compared with the active one, and what its comparison says so far. */
export interface Candidate {
  version: string;
  since: string;
  outcome: string;
  reason: string;
  rows: number;
  sessions: number;
  sessionsRequired: number;
}

export interface Parameter {
  name: string;
  kind: string;
  doc: string;
}

interface CatalogJson {
  ruleVersion: string;
  chips: Chip[];
  fields: Field[];
  parameters: Parameter[];
  shadow: Candidate | null;
}

export class Catalog {
  readonly chips: readonly Chip[];
  readonly fields: readonly Field[];
  readonly parameters: readonly Parameter[];
  readonly ruleVersion: string;
  readonly shadow: Candidate | null;
  readonly #chips = new Map<string, Chip>();
  readonly #fields = new Map<string, Field>();
  readonly #parameters = new Map<string, Parameter>();

  constructor(json: CatalogJson) {
    this.chips = json.chips;
    this.fields = json.fields;
    this.parameters = json.parameters ?? [];
    this.ruleVersion = json.ruleVersion;
    this.shadow = json.shadow;
    for (const chip of json.chips) {
      for (const name of [...chip.aliases, chip.label, chip.id]) this.#chips.set(name.toLowerCase(), chip);
    }
    for (const field of json.fields) if (field.json) this.#fields.set(field.json, field);
    for (const parameter of this.parameters) this.#parameters.set(parameter.name, parameter);
  }

  /** The chip of an id or alias, in any case. */
  chip(name: string): Chip | undefined {
    return this.#chips.get(name.trim().toLowerCase());
  }

  /** The field of a JSON key. */
  field(json: string): Field | undefined {
    return this.#fields.get(json);
  }

  /** The query parameter that filters a field exactly, if it has one. */
  exactParam(field: Field): string | null {
    for (const name of [field.json, field.name]) {
      const kind = this.#parameters.get(name)?.kind;
      // `bid=1` asks for a chip, not for a bid of one dollar
      if (kind !== undefined && (kind !== "boolean" || field.type === "bool")) return name;
    }
    return null;
  }

  /** The field a query parameter filters, with the bound it gives. */
  fieldOfParam(param: string): { field: Field; bound: "min" | "max" | "exact" } | null {
    for (const field of this.fields) {
      if (field.minParam === param) return { field, bound: "min" };
      if (field.maxParam === param) return { field, bound: "max" };
      if (this.exactParam(field) === param) return { field, bound: "exact" };
    }
    return null;
  }
}
