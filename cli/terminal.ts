// Everything of the outside that a command may touch besides the cluster: where it writes, what it knows of the terminal,
// the clock and the environment. Made once in main.ts, and by tests.

export interface Terminal {
  /** Results. */
  out(text: string): void
  /** What is not a result: notes and errors. */
  note(text: string): void
  /** All of stdin. */
  input(): Promise<string>
  /** Characters of a line, where a person looks at a terminal; undefined where the output goes elsewhere. */
  readonly columns: number | undefined
  /** Whether colours may be used. */
  readonly colours: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts when the person does not want to wait any longer. */
  readonly signal: AbortSignal
  /** Milliseconds since the epoch. */
  now(): number
}
