"""The backend for a server that speaks OpenAI's protocol: what is sent, what is believed of the answer, and how often
it is asked again."""
