// Messages are made of sentences from several sources; each ends as one. Pure.

/** The text with a full stop, unless it ends as a sentence already. */
export const sentence = (text: string): string => (/[.!?]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`)
