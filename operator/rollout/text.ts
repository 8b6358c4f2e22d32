// Text from elsewhere (the kubelet, a container's last words) made fit for a status. Pure.

/** 20 + 20 messages of this length keep a status far below what etcd takes. */
const messageLimit = 1024

/**
 * The first `limit` characters, never with half of one: the API server would keep another text than was sent, and
 * the status would differ from what is wanted for ever.
 */
export const cut = (text: string, limit = messageLimit): string => text.slice(0, limit).toWellFormed()
