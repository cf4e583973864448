"""Things that may be composed: names of the data's pictures that are pictures of one object.

People, faces, flags, signs and scenes are left out, and all that has its colour for a name.
"""

ANIMALS = """ant, badger, bat, bear, beaver, beetle, bird, bison, blowfish, boar, bug,
butterfly, camel, cat, cat face, chicken, cockroach, cow, cow face, crab, cricket, crocodile,
deer, dodo, dog, dog face, dolphin, dragon, dragon face, duck, eagle, elephant, ewe, fish,
flamingo, fly, fox, frog, giraffe, goat, gorilla, hamster, hedgehog, hippopotamus, honeybee,
horse, horse face, kangaroo, koala, lady beetle, leopard, lion, lizard, llama, lobster, mammoth,
monkey, monkey face, mosquito, mouse, mouse face, octopus, orangutan, otter, owl, ox, panda,
parrot, peacock, penguin, pig, pig face, polar bear, poodle, rabbit, rabbit face, raccoon, ram,
rat, rhinoceros, rooster, sauropod, scorpion, seal, shark, shrimp, skunk, sloth, snail, snake,
spider, squid, swan, T-Rex, tiger, tiger face, tropical fish, turkey, turtle, unicorn, water
buffalo, whale, wolf, worm, zebra""".replace("\n", " ").split(", ")

CREATURES = """alien, alien monster, ghost, goblin, nesting dolls, ogre, robot, skull, snowman,
teddy bear, moai""".replace("\n", " ").split(", ")

FOOD = """avocado, bacon, bagel, baguette bread, banana, bell pepper, birthday
cake, bread, broccoli, burrito, butter, candy, carrot, cheese wedge, chestnut,
chocolate bar, coconut, cookie, croissant, cucumber, cupcake, doughnut,
dumpling, egg, eggplant, fortune cookie, garlic, grapes, hamburger, honey pot,
hot dog, hot pepper, kiwi fruit, lemon, lollipop, mango, melon, mushroom, onion,
oyster, peach, pear, pie, pineapple, pizza, popcorn, potato, pretzel, red apple,
sandwich, strawberry, sushi, taco, tamale, tangerine, tomato, waffle,
watermelon, beer mug, bubble tea, cocktail glass, hot beverage, teapot, wine
glass, ice cream, soft ice cream""".replace("\n", " ").split(", ")

PLANTS = """cactus, deciduous tree, evergreen tree, palm tree, Christmas tree,
four leaf clover, hibiscus, maple leaf, potted plant, rose, seedling, sunflower,
tulip, lotus""".replace("\n", " ").split(", ")

VEHICLES = """airplane, ambulance, articulated lorry, automobile, auto rickshaw, bicycle, bus,
canoe, delivery truck, ferry, fire engine, flying saucer, helicopter, kick scooter, locomotive,
motor boat, motorcycle, motor scooter, oncoming bus, pickup truck, police car, racing car,
rocket, sailboat, ship, skateboard, small airplane, speedboat, sport utility vehicle, taxi,
tractor, tram car, satellite""".replace("\n", " ").split(", ")

OBJECTS = """abacus, accordion, alarm clock, amphora, anchor, axe, backpack,
balloon, ballot box with ballot, banjo, barber pole, baseball, basket,
basketball, bathtub, bed, bell, bomb, bone, bookmark, boomerang, briefcase,
broom, bucket, camera, candle, castle, chair, chess pawn, church, circus tent,
closed book, closed umbrella, coffin, coin, compass, computer mouse, crayon,
crown, crystal ball, curling stone, dagger, desktop computer, diya lamp, door,
dress, drum, envelope, fire extinguisher, flashlight, fountain pen, framed
picture, game die, gear, gem stone, glasses, graduation cap, guitar, hammer,
handbag, headphone, high-heeled shoe, hiking boot, hook, house, hourglass done,
hut, jack-o-lantern, jar, jeans, joystick, key, kimono, kite, kitchen knife,
ladder, lab coat, laptop, light bulb, lipstick, locked, long drum, lotion
bottle, love letter, luggage, magic wand, magnet, man’s shoe, megaphone,
microphone, microscope, military helmet, mirror, mobile phone, money bag,
musical keyboard, musical note, necktie, office building, oil drum, paintbrush,
pencil, pill, piñata, pool 8 ball, postbox, printer, purse, puzzle piece, radio,
razor, red envelope, red heart, red paper lantern, ribbon, ring, ring buoy,
roller skate, running shoe, saxophone, scarf, scissors, screwdriver, shield,
shopping cart, shorts, sled, soccer ball, soap, socks, spoon, star, studio
microphone, sunglasses, syringe, t-shirt, telephone, telescope, television,
tennis, tent, test tube, toilet, toolbox, tooth, toothbrush, top hat, trophy,
trumpet, umbrella, violin, volleyball, wastebasket, watch, water pistol, woman’s
boot, woman’s hat, wrapped gift, wrench, yarn, yo-yo""".replace("\n", " ").split(", ")

# What people say instead; said half of the time.
ALIASES = {"automobile": "car", "sport utility vehicle": "SUV", "honeybee": "bee",
            "lady beetle": "ladybug", "hot beverage": "cup of coffee", "doughnut": "donut",
            "hamburger": "burger", "mobile phone": "phone", "evergreen tree": "fir tree",
            "deciduous tree": "tree", "bicycle": "bike", "red apple": "apple",
            "red heart": "heart", "red paper lantern": "paper lantern",
            "red envelope": "gift envelope", "airplane": "plane", "flying saucer": "UFO",
            "articulated lorry": "truck", "baguette bread": "baguette", "cheese wedge": "cheese",
            "birthday cake": "cake", "wrapped gift": "present", "gem stone": "gem",
            "closed book": "book", "locked": "padlock", "soft ice cream": "ice cream cone",
            "running shoe": "sneaker", "high-heeled shoe": "high heel", "tennis": "tennis ball",
            "hippopotamus": "hippo", "rhinoceros": "rhino", "sauropod": "dinosaur",
            "locomotive": "train", "studio microphone": "microphone", "man’s shoe": "shoe",
            "woman’s boot": "boot", "computer mouse": "mouse of a computer",
            "ballot box with ballot": "ballot box"}
# Names with a colour in them, which is never said of a picture in another one.
COLOURED_NAMES = {"red apple", "red heart", "red paper lantern", "red envelope"}

# Seen as several, or not to be counted.
UNCOUNTED = {"bacon", "bread", "butter", "candy", "garlic", "glasses", "grapes", "headphone",
              "jeans", "nesting dolls", "popcorn", "scissors", "shorts", "socks", "soap",
              "sunglasses", "sushi", "tennis", "yarn", "locked", "broccoli", "luggage"}

# Said without an article.
PLURALS = {"bacon", "glasses", "grapes", "jeans", "nesting dolls", "popcorn", "scissors",
            "shorts", "socks", "sunglasses", "sushi", "broccoli"}

# What is worn, by the word for it.
HATS = {"hat": "top hat", "top hat": "top hat", "crown": "crown", "sun hat": "woman’s hat",
        "graduation cap": "graduation cap", "helmet": "military helmet"}

# What hats are put on: animals and creatures whose head is the highest part.
HEADS = [name for name in ANIMALS + CREATURES if name not in
         {"ant", "bat", "beetle", "bug", "blowfish", "butterfly", "cockroach", "crab", "cricket",
          "crocodile", "fish", "fly", "lady beetle", "lizard", "lobster", "mosquito", "octopus",
          "scorpion", "shrimp", "snail", "snake", "spider", "squid", "tropical fish", "turtle",
          "whale", "worm", "honeybee", "dolphin", "shark", "skunk", "peacock", "alien monster",
          "seal"}]

# What something small may stand on.
GROUNDS = ["automobile", "bed", "bus", "chair", "delivery truck", "elephant", "horse", "house",
            "locomotive", "desktop computer", "laptop", "pickup truck", "rhinoceros", "sled",
            "skateboard", "taxi", "television", "tractor", "turtle", "whale", "wrapped gift",
            "closed book", "oil drum", "toolbox", "piñata", "cow", "camel", "hippopotamus",
            "briefcase", "luggage"]

THINGS = ANIMALS + CREATURES + FOOD + PLANTS + VEHICLES + OBJECTS

IRREGULAR = {"mouse": "mice", "fish": "fish", "goose": "geese", "sheep": "sheep", "deer": "deer",
             "shrimp": "shrimp", "squid": "squid", "bison": "bison", "knife": "knives",
             "wolf": "wolves", "leaf": "leaves", "ox": "oxen", "tooth": "teeth", "die": "dice",
             "buffalo": "buffalos", "potato": "potatoes", "tomato": "tomatoes", "mango": "mangos",
             "scarf": "scarves", "wastebasket": "wastebaskets", "dress": "dresses", "SUV": "SUVs",
             "bus": "buses", "cheese": "cheeses", "radio": "radios", "piñata": "piñatas"}


def plural(noun):
    """The plural of a noun of one or more words."""
    if " of " in noun:
        head, _, rest = noun.partition(" of ")
        return f"{plural(head)} of {rest}"
    *before, last = noun.split(" ")
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return " ".join([*before, last])
