"""What must hold of any bytes at the image door."""

from tenshot.embeddings.pictures.images import ImageError, open_image


def look(content: bytes) -> None:
    """An RGB picture or an ImageError of one line; anything else is raised."""
    # How it is asked varies with the content, so that a fuzzer finds both.
    least_side = 4 if len(content) % 2 else None
    message, mode = "", None
    try:
        mode = open_image(content, max_pixels=1 << 20, least_side=least_side).image.mode
    except ImageError as error:
        message = str(error)
    assert mode == "RGB" or (message and "\n" not in message), message
